import { PATHS } from '#api';
import { ApiProblem } from './api-problem.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { EventStreams } from './event-streams.ts';
import { provenRequest } from './proven-request.ts';
import type { PublicServer } from './public-server.ts';
import type { Verifier } from './verifier.ts';

export interface EventsRouteOptions {
  readonly config: Pick<RunnableGatewayConfig, 'gatewayId'>;
  readonly verifier: Pick<Verifier, 'holder'>;
  /** Left out: there is no such route. */
  readonly streams?: EventStreams | undefined;
}

/**
 * Server-sent events (WHATWG HTML, 9.2) for the holder of a node key. They say only that the record changed: what it is now the
 * host reads on chain itself. A stream holds its connection and no place among the requests in work.
 */
export function registerEventsRoute(
  { app, connections }: PublicServer,
  { config, verifier, streams }: EventsRouteOptions,
): void {
  if (!streams) return;
  app.get(PATHS.events, async (request, reply) => {
    const { worker } = await verifier.holder(provenRequest(request, config.gatewayId));
    if (!streams.hasRoomFor(worker.nodeId))
      throw new ApiProblem('overloaded', 'the gateway has as many event streams as it keeps', {
        retryAfterMs: 60_000,
      });
    connections.prove(request.raw.socket, worker.nodeId);
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-request-id': request.id,
      connection: 'close',
    });
    streams.open(worker, reply.raw);
  });
}
