/**
 * The spans that this program makes where something in the process collects them. Their names are API: filters and
 * dashboards of operators use them (docs/operations.md, "Traces").
 */
export const SPANS = {
  'gateway.request': 'a request to the gateway’s public port, until its reply is over',
  'node.admission': 'an admission, once it is the node’s turn: verdict, certificate, credential, name',
  'node.eviction': 'one attempt to carry out an eviction',
  'state.save': 'a decision on its way to the state, until it is durable',
  'kubernetes.request': 'one request to the API server',
  'chain.call': 'one call to a full node',
  'host.request': 'one request of a host to its gateway',
} as const;
export type SpanName = keyof typeof SPANS;

export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanOptions {
  /** Of the other side's view: `server` answers, `client` asks; left out: neither. */
  readonly kind?: 'server' | 'client';
  readonly attributes?: SpanAttributes | undefined;
  /**
   * What a client says of its own trace (the header `traceparent` of W3C Trace Context). The span refers to it and does not
   * become a part of it: otherwise a stranger would decide which requests are recorded.
   */
  readonly claimedParent?: string | undefined;
}

export interface OpenSpan {
  /** What `work` does and starts belongs to this span. */
  within<T>(work: () => T): T;
  /** Once; `failure` is what it failed with. */
  end(attributes?: SpanAttributes, failure?: unknown): void;
}

export interface SpanCollector {
  begin(name: SpanName, options: SpanOptions): OpenSpan;
  /** The header `traceparent` of the span under way. */
  traceparent(): string | undefined;
}

/** Of the whole process, as the collecting libraries have it: handed through every part it would be in each of their interfaces. */
let collector: SpanCollector | undefined;

/** From now on; `undefined`: no longer. */
export function collectSpans(next: SpanCollector | undefined): void {
  collector = next;
}

export function spanCollector(): SpanCollector | undefined {
  return collector;
}

/** Runs `work` as a span. Where nothing collects spans, it only runs it: `options` is not called. */
export function traced<T>(name: SpanName, options: () => SpanOptions, work: () => Promise<T>): Promise<T> {
  return collector ? runIn(collector.begin(name, options()), work) : work();
}

async function runIn<T>(span: OpenSpan, work: () => Promise<T>): Promise<T> {
  try {
    const result = await span.within(work);
    span.end();
    return result;
  } catch (error) {
    span.end(undefined, error);
    throw error;
  }
}
