import type { ServerResponse } from 'node:http';
import { type Clock, drawOf } from '#base';
import { whenOver } from './http.ts';

/** The streams by which hosts hear that something about their stake record changed on chain. */
export interface EventStreams {
  /** Whether there is room for a stream of this node: one that it has already gives up its place. */
  hasRoomFor(nodeId: string): boolean;
  /** Begins a stream; an earlier one of the node ends. */
  open(subscriber: Subscriber, response: ServerResponse): void;
  /** Tells the hosts of these records to look. */
  announce(recordIds: ReadonlySet<string>): void;
  count(): number;
  /** Ends all, and takes no more. */
  close(): void;
}

interface Subscriber {
  readonly nodeId: string;
  readonly recordId: string;
}

export interface EventStreamsOptions {
  readonly most: number;
  readonly clock: Clock;
}

interface Stream extends Subscriber {
  readonly response: ServerResponse;
  readonly endsAtMs: number;
  /** Of the seconds between two signs of life, its own. */
  readonly share: number;
}

/** Below the 30 s after which the port closes a silent connection, and those of most proxies. */
const aliveEveryMs = 15_000;
/** A stream is not authenticated anew: it ends, and its host proves itself again. Half an hour, and up to as much again. */
const leastLifeMs = 1_800_000;
const tickMs = 1_000;
const shares = aliveEveryMs / tickMs;
/** Bytes that a host may leave unread. */
const mostUnread = 16 * 1024;

export function createEventStreams({ most, clock }: EventStreamsOptions): EventStreams {
  const byNode = new Map<string, Stream>();
  const byRecord = new Map<string, Set<Stream>>();
  let isClosed = false;
  let tick = 0;
  let opened = 0;

  function forget(stream: Stream): void {
    if (byNode.get(stream.nodeId) === stream) byNode.delete(stream.nodeId);
    const others = byRecord.get(stream.recordId);
    others?.delete(stream);
    if (others?.size === 0) byRecord.delete(stream.recordId);
  }

  function end(stream: Stream): void {
    forget(stream);
    stream.response.end();
  }

  function write(stream: Stream, text: string): void {
    // A host that does not read costs no memory without end.
    if (stream.response.writableLength > mostUnread) {
      forget(stream);
      stream.response.destroy();
    } else stream.response.write(text);
  }

  /** Each second its share of the streams: so many writes at once would hold the thread. */
  function keepAlive(): void {
    tick = (tick + 1) % shares;
    const nowMs = clock.monotonicMs();
    for (const stream of byNode.values()) {
      if (stream.share !== tick) continue;
      if (nowMs >= stream.endsAtMs) end(stream);
      else write(stream, ':\n\n');
    }
  }
  let timer: NodeJS.Timeout | undefined;

  return {
    hasRoomFor: (nodeId) => !isClosed && (byNode.size < most || byNode.has(nodeId)),
    open({ nodeId, recordId }, response) {
      const earlier = byNode.get(nodeId);
      if (earlier) end(earlier);
      const lifeMs = leastLifeMs * (1 + drawOf(nodeId, Math.floor(clock.nowMs() / leastLifeMs)));
      timer ??= setInterval(keepAlive, tickMs).unref();
      opened += 1;
      const stream: Stream = {
        nodeId,
        recordId,
        response,
        endsAtMs: clock.monotonicMs() + lifeMs,
        share: opened % shares,
      };
      byNode.set(nodeId, stream);
      const others = byRecord.get(recordId) ?? new Set();
      byRecord.set(recordId, others.add(stream));
      response.on('error', () => undefined);
      whenOver(response, () => forget(stream));
      response.write('retry: 5000\n\n');
    },
    announce(recordIds) {
      for (const recordId of recordIds)
        for (const stream of byRecord.get(recordId) ?? [])
          write(
            stream,
            `event: record\ndata: ${JSON.stringify({ record_id: recordId, timestamp: clock.nowMs() })}\n\n`,
          );
    },
    count: () => byNode.size,
    close() {
      isClosed = true;
      clearInterval(timer);
      for (const stream of byNode.values()) end(stream);
    },
  };
}
