import { ConfigurationError } from '#base';
import type { ChainClientOptions } from '#chain';
import { headersOf, readHeadersFile } from './headers-file.ts';
import { type Loaded, pathOf, rowOf } from './settings.ts';

/** The full nodes and how to call them: one reading of the settings for worker, gateway and dry run. */
export async function chainAccessOf(
  settings: Loaded,
): Promise<Pick<ChainClientOptions, 'endpoints' | 'timeoutMs' | 'allowInsecure' | 'headers'>> {
  const { endpoints, timeoutMs, allowInsecure, headers } = settings.value.chain;
  const file = pathOf(settings, 'chain.headersFile');
  if (file !== undefined && headers !== undefined)
    throw new ConfigurationError(
      'DAAS_HEADERS_INVALID',
      `headers for the full nodes are given twice: chain.headersFile (${rowOf(settings, 'chain.headersFile').origin}) and chain.headers (${rowOf(settings, 'chain.headers').origin}): remove one`,
    );
  return {
    endpoints,
    timeoutMs,
    allowInsecure,
    headers: file === undefined ? headersOf(headers ?? {}) : await readHeadersFile(file),
  };
}
