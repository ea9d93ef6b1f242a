import { messageOf } from '#base';
import { type HttpProxy, proxyFor, proxyText } from './proxy.ts';

type Fetch = typeof globalThis.fetch;

/** By proxy: its connections are used again. */
const ways = new Map<string, Fetch>();

/** `fetch` by the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for the URL, or directly. Throws `DAAS_PROXY_INVALID`. */
export async function fetchByProxy(url: string, init: RequestInit): Promise<Response> {
  const proxy = proxyFor(new URL(url));
  if (!proxy) return fetch(url, init);
  const key = `${proxy.url.href} ${proxy.authorization?.reveal() ?? ''}`;
  const way = ways.get(key) ?? fetchThrough(proxy);
  ways.set(key, way);
  return way(url, init);
}

/** The built-in `fetch` of Node takes only dispatchers of its built-in undici, which Node does not export. */
export function fetchThrough(proxy: HttpProxy): Fetch {
  const opened = import('undici').then(({ fetch: send, ProxyAgent }) => ({
    send,
    dispatcher: new ProxyAgent({
      uri: proxy.url.href,
      ...(proxy.authorization && { token: proxy.authorization.reveal() }),
    }),
  }));
  // Loaded only where there is a proxy; the first call reports a failure to load.
  opened.catch(() => undefined);
  return async (input, init) => {
    const { send, dispatcher } = await opened;
    try {
      return (await send(input as string, { ...(init as object), dispatcher })) as unknown as Response;
    } catch (error) {
      throw tunnelFailure(error, proxy);
    }
  };
}

/** Says whether the proxy or the server behind it failed. */
function tunnelFailure(error: unknown, proxy: HttpProxy): unknown {
  const refusal = /Proxy response \((\d+)\)/.exec(messageOf(error))?.[1];
  if (refusal === undefined) return error;
  const why =
    refusal === '407' ? 'it wants a user and a password in its URL' : 'it opens no connection there';
  return new Error(`${proxyText(proxy)} answered with HTTP status ${refusal}: ${why}`);
}
