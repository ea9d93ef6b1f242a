import type { FastifyInstance, FastifyRequest } from 'fastify';
import { PATHS } from '#api';
import type { OpenSpan, SpanCollector } from '#base';
import { whenOver } from './http.ts';

/** One span a request; what the gateway does for it belongs to it. Streams have none: they last for as long as a host runs. */
export function addSpans(app: FastifyInstance, spans: SpanCollector): void {
  const open = new WeakMap<FastifyRequest, OpenSpan>();
  app.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url;
    if (route === PATHS.events) return done();
    const { traceparent } = request.headers;
    const span = spans.begin('gateway.request', {
      kind: 'server',
      attributes: {
        'http.request.method': request.method,
        'http.route': route,
        'k3s_daas.request_id': request.id,
      },
      claimedParent: typeof traceparent === 'string' ? traceparent : undefined,
    });
    open.set(request, span);
    whenOver(reply.raw, () => span.end({ 'http.response.status_code': reply.statusCode }));
    done();
  });
  // Not earlier: the body arrives by events of the connection, which know no request.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = open.get(request);
    if (span) span.within(done);
    else done();
  });
}
