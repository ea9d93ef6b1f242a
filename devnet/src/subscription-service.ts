import { GrpcTypes } from '@mysten/sui/grpc';
import type { Checkpoint } from './checkpoints.ts';
import { cursorOf, eventsOf, matchesEvent, matchesTransaction, renderPlacedEvent } from './event-queries.ts';
import type { Handlers } from './grpc-web.ts';
import type { Ledger } from './ledger.ts';
import { renderCheckpoint } from './ledger-service.ts';
import { type MaskTree, readMask } from './read-mask.ts';
import { renderExecuted } from './render-transaction.ts';

/** Streams start at the tip. Every checkpoint gives a frame, so that a reader sees the stream is alive. */
export function subscriptionService(ledger: Ledger): Handlers {
  return {
    // The mask is read before the stream begins: a bad one is an error of the call, not of the stream.
    SubscribeCheckpoints: (request: GrpcTypes.SubscribeCheckpointsRequest, signal) =>
      subscribeCheckpoints(
        ledger,
        request,
        readMask(request.readMask, 'sequence_number,digest', GrpcTypes.Checkpoint),
        signal,
      ),
    SubscribeTransactions: (request: GrpcTypes.SubscribeTransactionsRequest, signal) =>
      subscribeTransactions(
        ledger,
        request,
        readMask(request.readMask, 'digest', GrpcTypes.ExecutedTransaction),
        signal,
      ),
    SubscribeEvents: (request: GrpcTypes.SubscribeEventsRequest, signal) =>
      subscribeEvents(ledger, request, readMask(request.readMask, 'event_type', GrpcTypes.Event), signal),
  };
}

/** Checkpoints from now on, none left out, until the reader goes. */
async function* checkpointsFrom(ledger: Ledger, signal: AbortSignal): AsyncGenerator<Checkpoint> {
  const waiting: Checkpoint[] = [];
  let wake: () => void = () => undefined;
  const stop = ledger.onCheckpoint((checkpoint) => {
    waiting.push(checkpoint);
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      const next = waiting.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    stop();
    signal.removeEventListener('abort', onAbort);
  }
}

async function* subscribeCheckpoints(
  ledger: Ledger,
  request: GrpcTypes.SubscribeCheckpointsRequest,
  mask: MaskTree,
  signal: AbortSignal,
): AsyncGenerator<GrpcTypes.SubscribeCheckpointsResponse> {
  const isFiltered = (request.filter?.terms.length ?? 0) > 0;
  for await (const checkpoint of checkpointsFrom(ledger, signal)) {
    const { transaction, sequenceNumber } = checkpoint;
    const isWanted =
      !isFiltered || (transaction !== undefined && matchesTransaction(request.filter, transaction));
    yield {
      cursor: sequenceNumber,
      ...(isWanted ? { checkpoint: renderCheckpoint(ledger, checkpoint, mask) } : {}),
    };
  }
}

async function* subscribeTransactions(
  ledger: Ledger,
  request: GrpcTypes.SubscribeTransactionsRequest,
  mask: MaskTree,
  signal: AbortSignal,
): AsyncGenerator<GrpcTypes.SubscribeTransactionsResponse> {
  for await (const { transaction, sequenceNumber } of checkpointsFrom(ledger, signal)) {
    const watermark = { cursor: cursorOf(sequenceNumber, 0), checkpoint: sequenceNumber };
    yield transaction && matchesTransaction(request.filter, transaction)
      ? { transaction: renderExecuted(transaction, ledger.code, mask, true), watermark }
      : { watermark };
  }
}

async function* subscribeEvents(
  ledger: Ledger,
  request: GrpcTypes.SubscribeEventsRequest,
  mask: MaskTree,
  signal: AbortSignal,
): AsyncGenerator<GrpcTypes.SubscribeEventsResponse> {
  yield { watermark: watermarkOf(ledger.tip.sequenceNumber, 0xffff_ffff) };
  for await (const { transaction, sequenceNumber } of checkpointsFrom(ledger, signal)) {
    const events = transaction
      ? eventsOf(transaction).filter((placed) => matchesEvent(request.filter, placed))
      : [];
    for (const placed of events)
      yield {
        event: renderPlacedEvent(placed, ledger, mask),
        watermark: watermarkOf(sequenceNumber, placed.index),
      };
    if (events.length === 0) yield { watermark: watermarkOf(sequenceNumber, 0xffff_ffff) };
  }
}

const watermarkOf = (checkpoint: bigint, index: number): GrpcTypes.Watermark => ({
  cursor: cursorOf(checkpoint, index),
  checkpoint,
});
