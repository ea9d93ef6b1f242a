import { createServer } from 'node:http';
import { ConfigurationError, hostPort, type Lifetime, messageOf } from '#base';
import type { HostHealth } from '#host';
import { closeListener, guardConnections } from '#infrastructure';
import { toJson } from './io.ts';

/** Serves `/livez` and `/readyz` (200 or 503, with the reasons as JSON). Returns the URL. */
export async function serveHealth(
  read: () => HostHealth,
  { host, port }: { readonly host: string; readonly port: number },
  life: Lifetime,
): Promise<string> {
  const timeouts = { requestTimeout: 5_000, headersTimeout: 5_000, connectionsCheckingInterval: 1_000 };
  const server = createServer(timeouts, (request, response) => {
    const health = read();
    const isGood = { '/livez': health.live, '/readyz': health.ready }[request.url ?? ''];
    response.writeHead(isGood === undefined ? 404 : isGood ? 200 : 503, {
      'content-type': 'application/json',
    });
    response.end(isGood === undefined ? '{"paths":["/livez","/readyz"]}\n' : `${toJson(health)}\n`);
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
