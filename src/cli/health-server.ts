import { createServer } from 'node:http';
import { ConfigurationError, hostPort, type Lifetime, messageOf } from '#base';
import type { HostHealth, HostStatus } from '#host';
import { closeListener, guardConnections } from '#infrastructure';
import { toJson } from './io.ts';

/** What the health port shows. */
export interface Healthy {
  health(): HostHealth;
  status(signal?: AbortSignal): Promise<HostStatus>;
}

const paths = ['/livez', '/readyz', '/status'];
/** A measurement that hangs must not keep a connection. */
const statusDeadlineMs = 4_000;

/**
 * Serves `/livez` and `/readyz` (200 or 503, with the reasons as JSON) and `/status` (everything that the host knows about itself, for
 * `k3s-daas status`). Returns the URL.
 */
export async function serveHealth(
  source: Healthy,
  { host, port }: { readonly host: string; readonly port: number },
  life: Lifetime,
): Promise<string> {
  const timeouts = { requestTimeout: 5_000, headersTimeout: 5_000, connectionsCheckingInterval: 1_000 };
  const server = createServer(timeouts, (request, response) => {
    void answer(source, request.url ?? '').then(({ code, body }) => {
      response.writeHead(code, { 'content-type': 'application/json' }).end(`${toJson(body)}\n`);
    });
  });
  const connections = guardConnections(server, { most: 64, lifeMs: 30_000 });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_HEALTH_PORT_TAKEN',
      `health.host and health.port: ${hostPort(host, port)} cannot be listened on (${messageOf(cause)}): choose another port, or 0 for a free one`,
      { cause },
    );
  }
  life.defer('the health port', () => closeListener(server, connections, 0));
  const address = server.address();
  return `http://${hostPort(host, typeof address === 'object' && address ? address.port : port)}`;
}

async function answer(source: Healthy, path: string): Promise<{ code: number; body: unknown }> {
  if (!paths.includes(path)) return { code: 404, body: { paths } };
  if (path === '/status') {
    try {
      return { code: 200, body: await source.status(AbortSignal.timeout(statusDeadlineMs)) };
    } catch (error) {
      return { code: 500, body: { error: messageOf(error) } };
    }
  }
  const health = source.health();
  const isGood = path === '/livez' ? health.live : health.ready;
  return { code: isGood ? 200 : 503, body: health };
}
