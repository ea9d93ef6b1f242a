import { request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { Duplex } from 'node:stream';
import { describeNetworkFailure, hostPort } from '#base';
import { type HttpProxy, proxyText } from '#infrastructure';

/**
 * A connection to `host:port` through an HTTP proxy (CONNECT, RFC 9110, section 9.3.6). The caller runs TLS over it: the
 * proxy sees nothing else. Throws the reason of `signal` when that ends it.
 */
export function openTunnel(
  proxy: HttpProxy,
  { host, port }: { readonly host: string; readonly port: number },
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const authority = hostPort(host, port);
  const fail = (why: string, cause?: unknown) =>
    reject(new Error(`${proxyText(proxy)} opens no connection to ${authority}: ${why}`, { cause }));
  const request = proxy.url.protocol === 'https:' ? requestSecure : requestPlain;
  const asked = request({
    method: 'CONNECT',
    hostname: proxy.url.hostname.replace(/^\[|\]$/g, ''),
    port: proxy.url.port || (proxy.url.protocol === 'https:' ? 443 : 80),
    path: authority,
    headers: {
      host: authority,
      ...(proxy.authorization && { 'proxy-authorization': proxy.authorization.reveal() }),
    },
    agent: false,
    signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]),
  });
  asked.once('connect', (reply, socket, head) => {
    const { statusCode = 0 } = reply;
    if (statusCode >= 200 && statusCode < 300) {
      // TLS servers do not speak first, but bytes that came with the reply must not be lost.
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
      return;
    }
    socket.destroy();
    fail(
      `HTTP status ${statusCode}${statusCode === 407 ? ': put a user and a password into the URL of the proxy' : ''}`,
    );
  });
  asked.once('response', (reply) => {
    reply.destroy();
    fail(`HTTP status ${reply.statusCode ?? 0}`);
  });
  asked.once('error', (error) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    return fail(
      error.name === 'AbortError' ? `no answer within ${timeoutMs} ms` : describeNetworkFailure(error),
      error,
    );
  });
  asked.end();
  return promise;
}
