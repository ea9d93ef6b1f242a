import { ConfigurationError } from '#base';
import type { EndpointSettings } from '#chain';
import { parseProxy } from '#infrastructure';
import { assertSingleEndpoint, assignHeaders, headersOf, readHeadersFile, sameUrl } from './headers-file.ts';
import { type Loaded, pathOf, rowOf } from './settings.ts';

/** The full nodes and how they are reached: worker, gateway and dry run read the settings here. */
export async function chainAccessOf(settings: Loaded): Promise<{
  endpoints: EndpointSettings[];
  archive?: EndpointSettings;
  timeoutMs: number;
  allowInsecure: boolean;
}> {
  const { timeoutMs, allowInsecure, archiveUrl } = settings.value.chain;
  const proxies = proxiesOf(settings);
  const endpoints = (await endpointsOf(settings)).map((endpoint) => ({
    ...endpoint,
    proxy: proxies.get(sameUrl(endpoint.url)),
  }));
  const archive = archiveUrl === undefined ? {} : { archive: { url: archiveUrl } };
  return { endpoints, ...archive, timeoutMs, allowInsecure };
}

async function endpointsOf(settings: Loaded): Promise<EndpointSettings[]> {
  const { endpoints: urls, headers } = settings.value.chain;
  const file = pathOf(settings, 'chain.headersFile');
  if (file !== undefined && headers !== undefined)
    throw new ConfigurationError(
      'DAAS_HEADERS_INVALID',
      `headers for the full nodes are given twice: chain.headersFile (${rowOf(settings, 'chain.headersFile').origin}) and chain.headers (${rowOf(settings, 'chain.headers').origin}): remove one`,
    );
  if (file !== undefined) return assignHeaders(urls, await readHeadersFile(file));
  if (headers === undefined) return urls.map((url) => ({ url }));
  assertSingleEndpoint(urls, `chain.headers (${rowOf(settings, 'chain.headers').origin})`);
  return urls.map((url) => ({ url, headers: headersOf(headers) }));
}

function proxiesOf(settings: Loaded): Map<string, EndpointSettings['proxy']> {
  const { endpoints, endpointProxies = {} } = settings.value.chain;
  const known = new Set(endpoints.map(sameUrl));
  const proxies = new Map<string, EndpointSettings['proxy']>();
  for (const [url, proxy] of Object.entries(endpointProxies)) {
    if (!known.has(sameUrl(url)))
      throw new ConfigurationError(
        'DAAS_PROXY_INVALID',
        `chain.endpointProxies (${rowOf(settings, 'chain.endpointProxies').origin}) names ${url}, which is not in chain.endpoints (${endpoints.join(', ')}): correct the URL or remove the entry`,
        { details: { url } },
      );
    proxies.set(
      sameUrl(url),
      proxy === 'direct' ? 'direct' : parseProxy(proxy, `chain.endpointProxies of ${url}`),
    );
  }
  return proxies;
}
