import { createServer, type Server } from 'node:http';
import { messageOf } from '#base';

export interface HealthCheck {
  readonly name: string;
  readonly isOk: boolean;
  /** One sentence: the figures, or what is wrong. */
  readonly detail: string;
}

export interface HealthApiOptions {
  readonly figures?: (() => Readonly<Record<string, unknown>>) | undefined;
  /** What `/metrics` answers; without it there is no such path. */
  readonly metrics?: { readonly text: () => Promise<string>; readonly contentType: string };
}

/**
 * `/livez` and `/readyz` on a port of their own, independent of load on the public one. `/readyz` answers 503 when the
 * gateway cannot decide, with the reason. `figures` are shown beside the checks and decide nothing. `/metrics` is for Prometheus.
 */
export function createHealthApi(
  checks: () => Promise<readonly HealthCheck[]>,
  { figures = () => ({}), metrics }: HealthApiOptions = {},
): Server {
  const options = { requestTimeout: 5_000, headersTimeout: 5_000, connectionsCheckingInterval: 1_000 };
  return createServer(options, (request, response) => {
    const path = request.url?.split('?', 1)[0];
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, { status: 'use GET' });
    switch (path) {
      case '/livez':
        return answer(200, { status: 'ok' });
      case '/readyz':
        return void readiness(checks, figures).then(
          ({ isReady, body }) => answer(isReady ? 200 : 503, body),
          (error: unknown) => answer(503, { status: 'not ready', detail: messageOf(error) }),
        );
      case '/metrics':
        if (!metrics) return answer(404, { status: 'there are no metrics' });
        return void metrics.text().then(
          (text) => {
            response.writeHead(200, { 'content-type': metrics.contentType, 'cache-control': 'no-store' });
            response.end(text);
          },
          (error: unknown) => answer(500, { status: 'no metrics', detail: messageOf(error) }),
        );
      default:
        return answer(404, { status: 'there are /livez, /readyz and /metrics' });
    }
  });
}

async function readiness(
  checks: () => Promise<readonly HealthCheck[]>,
  figures: () => Readonly<Record<string, unknown>>,
): Promise<{ readonly isReady: boolean; readonly body: unknown }> {
  const all = await checks();
  const isReady = all.every(({ isOk }) => isOk);
  const shown = all.map(({ name, isOk, detail }) => ({ name, ok: isOk, detail }));
  return { isReady, body: { status: isReady ? 'ok' : 'not ready', checks: shown, ...figures() } };
}
