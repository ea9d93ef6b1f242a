import type { Context, Span } from '@opentelemetry/api';
import {
  collectSpans,
  type OpenSpan,
  type SpanAttributes,
  type SpanCollector,
  type SpanName,
  type SpanOptions,
} from '#base';

/** Where an OpenTelemetry SDK registers itself, by its own copy of the API. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');

/**
 * Hands the spans of this program to the OpenTelemetry SDK that was loaded before it, such as by `node --import`. Without one
 * nothing is loaded. `too old`: the API that the SDK came with is older than ours, which takes no spans to it.
 */
export async function followTracing(version: string): Promise<'followed' | 'too old' | 'none'> {
  const registered = (globalThis as Record<symbol, unknown>)[REGISTERED] as { trace?: unknown } | undefined;
  if (registered?.trace === undefined) return 'none';
  const api = await import('@opentelemetry/api');
  if (api.trace.getTracerProvider() !== registered.trace) return 'too old';
  collectSpans(createCollector(api, version));
  return 'followed';
}

type Api = typeof import('@opentelemetry/api');

function createCollector(api: Api, version: string): SpanCollector {
  const tracer = api.trace.getTracer('k3s-daas', version);
  const kinds = {
    server: api.SpanKind.SERVER,
    client: api.SpanKind.CLIENT,
    internal: api.SpanKind.INTERNAL,
  };
  return {
    begin(name: SpanName, { kind, attributes = {}, claimedParent }: SpanOptions): OpenSpan {
      const span = unharmed(() => {
        const links = claimedParent === undefined ? [] : linksTo(api, claimedParent);
        return tracer.startSpan(name, { kind: kinds[kind ?? 'internal'], attributes, links });
      });
      return span ? openSpan(api, span, api.trace.setSpan(api.context.active(), span)) : noSpan;
    },
    traceparent() {
      const headers: { traceparent?: string } = {};
      unharmed(() => api.propagation.inject(api.context.active(), headers));
      return headers.traceparent;
    },
  };
}

function openSpan(api: Api, span: Span, context: Context): OpenSpan {
  return {
    within: (work) => api.context.with(context, work),
    end(attributes: SpanAttributes = {}, failure) {
      unharmed(() => {
        span.setAttributes(attributes);
        if (failure !== undefined) {
          span.setAttribute('error.type', codeOf(failure));
          // Without the message: it may name what a trace is not to have.
          span.setStatus({ code: api.SpanStatusCode.ERROR, message: codeOf(failure) });
        }
        span.end();
      });
    },
  };
}

const noSpan: OpenSpan = { within: (work) => work(), end: () => undefined };

/** What the SDK and its exporters throw is theirs: a decision that is durable does not fail by it. */
function unharmed<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

function linksTo(api: Api, traceparent: string) {
  const context = api.propagation.extract(api.ROOT_CONTEXT, { traceparent });
  const claimed = api.trace.getSpanContext(context);
  return claimed ? [{ context: claimed }] : [];
}

function codeOf(failure: unknown): string {
  if (typeof failure !== 'object' || failure === null) return typeof failure;
  const { code, name } = failure as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'Error';
}
