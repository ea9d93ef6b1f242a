import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, expect, test, vi } from 'vitest';
import { collectSpans, DaasError, spanCollector, traced } from '#base';
import { followTracing } from './tracing.ts';

afterEach(() => {
  collectSpans(undefined);
  trace.disable();
  context.disable();
  propagation.disable();
});

/** As an SDK that was loaded before the program. */
function registerSdk(): InMemorySpanExporter {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  return exporter;
}

test('without an SDK nothing is collected, and work runs as it is', async () => {
  expect(await followTracing('1.0.0')).toBe('none');
  expect(spanCollector()).toBeUndefined();
  const options = vi.fn(() => ({}));
  expect(await traced('chain.call', options, () => Promise.resolve(7))).toBe(7);
  expect(options).not.toHaveBeenCalled();
});

test('work inside of work is a span inside of a span, over what is awaited', async () => {
  const exporter = registerSdk();
  expect(await followTracing('1.0.0')).toBe('followed');
  await traced(
    'node.admission',
    () => ({ attributes: { 'k3s_daas.node_id': 'worker-1' } }),
    async () => {
      await Promise.resolve();
      await traced(
        'chain.call',
        () => ({ kind: 'client' }),
        async () => undefined,
      );
    },
  );
  const [inner, outer] = exporter.getFinishedSpans();
  expect([inner?.name, outer?.name]).toEqual(['chain.call', 'node.admission']);
  expect(inner?.parentSpanContext?.spanId).toBe(outer?.spanContext().spanId);
  expect(outer?.attributes).toEqual({ 'k3s_daas.node_id': 'worker-1' });
  expect(outer?.instrumentationScope).toMatchObject({ name: 'k3s-daas', version: '1.0.0' });
});

test('a failure is a code, never a sentence, and goes on to the caller', async () => {
  const exporter = registerSdk();
  await followTracing('1.0.0');
  const failure = new DaasError('DAAS_CHAIN_UNAVAILABLE', 'the key of a customer is in this sentence');
  await expect(
    traced(
      'chain.call',
      () => ({}),
      () => Promise.reject(failure),
    ),
  ).rejects.toBe(failure);
  const [span] = exporter.getFinishedSpans();
  expect(span?.attributes).toEqual({ 'error.type': 'DAAS_CHAIN_UNAVAILABLE' });
  expect(JSON.stringify([span?.status, span?.events])).not.toContain('customer');
});

test('an SDK that throws changes no outcome', async () => {
  const broken = () => {
    throw new Error('the exporter is broken');
  };
  const processor = { onStart: vi.fn(), onEnd: broken, forceFlush: async () => {}, shutdown: async () => {} };
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
  await followTracing('1.0.0');
  const run = () =>
    traced(
      'state.save',
      () => ({}),
      async () => 'durable',
    );
  expect(await run()).toBe('durable');
  processor.onStart.mockImplementation(broken);
  expect(await run()).toBe('durable');
});

test('an SDK with an API that is too old is not said to be followed', async () => {
  const registered = { version: '1.2.0', trace: {} };
  Object.assign(globalThis, { [Symbol.for('opentelemetry.js.api.1')]: registered });
  expect(await followTracing('1.0.0')).toBe('too old');
  expect(spanCollector()).toBeUndefined();
  Reflect.deleteProperty(globalThis, Symbol.for('opentelemetry.js.api.1'));
});
