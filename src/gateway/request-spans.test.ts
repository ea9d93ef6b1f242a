import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PATHS } from '#api';
import { collectSpans } from '#base';
import { followTracing } from '#infrastructure';
import { World } from './world.fixture.ts';

let exporter: InMemorySpanExporter;
beforeEach(async () => {
  exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  await followTracing('1.0.0');
});
afterEach(() => {
  collectSpans(undefined);
  trace.disable();
  context.disable();
  propagation.disable();
});

const spansNamed = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);
const ofRoute = (spans: readonly ReadableSpan[], route: string) =>
  spans.find((span) => span.attributes['http.route'] === route || span.attributes['url.path'] === route);

test('a registration is one span, with the admission and what it writes inside', async () => {
  await using world = await World.start();
  await world.worker('worker-1').stake().register();
  await expect.poll(() => ofRoute(spansNamed('gateway.request'), PATHS.register)).toBeDefined();
  const request = ofRoute(spansNamed('gateway.request'), PATHS.register);
  expect(request?.attributes).toMatchObject({
    'http.request.method': 'POST',
    'http.response.status_code': 200,
  });
  const [admission] = spansNamed('node.admission');
  expect(admission?.attributes['k3s_daas.node_id']).toBe('worker-1');
  expect(admission?.attributes['k3s_daas.request_id']).toBe(request?.attributes['k3s_daas.request_id']);
  expect(admission?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
  const saves = spansNamed('state.save').map((span) => span.parentSpanContext?.spanId);
  expect(saves).toContain(admission?.spanContext().spanId);
});

test('the gateway refers to the trace of a host, and is no part of it: strangers do not choose what is recorded', async () => {
  await using world = await World.start();
  await world.worker('worker-1').stake().register();
  await expect.poll(() => ofRoute(spansNamed('gateway.request'), PATHS.register)).toBeDefined();
  const asked = ofRoute(spansNamed('host.request'), PATHS.register)?.spanContext();
  const answered = ofRoute(spansNamed('gateway.request'), PATHS.register);
  expect(answered?.links.map((link) => link.context.spanId)).toEqual([asked?.spanId]);
  expect(answered?.spanContext().traceId).not.toBe(asked?.traceId);
});
