import { Worker } from 'node:worker_threads';
import { carriedFile, isSingleExecutable } from '#base';
import type { VerifiedCheckpoint } from './certificate.ts';
import {
  certified,
  isPaired,
  type PairingJob,
  type PreparedCheckpoint,
  pairingJobOf,
} from './certificate.ts';
import { KeyCache } from './committee.ts';

/** Verifies the signature of a checkpoint: 30 to 60 ms of CPU. Throws `signature-invalid`. */
export type Pairing = (prepared: PreparedCheckpoint) => Promise<VerifiedCheckpoint>;

/** This many within a second are verified on the calling thread; more would hold it up. */
const FEW_A_SECOND = 3;

export interface PairingOptions {
  /** By a clock that never runs backwards. */
  readonly nowMs?: () => number;
  readonly fewASecond?: number;
  readonly openWorker?: () => PairingWorker;
}

/** Asks another thread; rejects when it ended. */
export interface PairingWorker {
  isPaired(job: PairingJob): Promise<boolean>;
}

/** Verifies on the calling thread while it is asked seldom, and in a worker thread above a few a second. */
export function createPairing({
  nowMs = () => performance.now(),
  fewASecond = FEW_A_SECOND,
  openWorker = openPairingWorker,
}: PairingOptions = {}): Pairing {
  const keys = new KeyCache();
  const startsMs: number[] = [];
  let worker: PairingWorker | undefined;

  function isSeldom(): boolean {
    const now = nowMs();
    while ((startsMs[0] ?? now) < now - 1_000) startsMs.shift();
    startsMs.push(now);
    return startsMs.length <= fewASecond;
  }

  async function elsewhere(job: PairingJob): Promise<boolean> {
    worker ??= openWorker();
    try {
      return await worker.isPaired(job);
    } catch {
      // The thread ended: what it did not answer is verified here, and the next one starts another.
      worker = undefined;
      return isPaired(job, keys);
    }
  }

  return async (prepared) => {
    const job = pairingJobOf(prepared);
    return certified(prepared, isSeldom() ? isPaired(job, keys) : await elsewhere(job));
  };
}

/** What the thread answers. */
export interface PairingReply {
  readonly id: number;
  readonly isPaired?: boolean;
  readonly failure?: string;
}

/** A thread that keeps no process alive. */
export function openPairingWorker(): PairingWorker {
  const worker = isSingleExecutable
    ? new Worker(carriedFile('pairing-worker.js'), { eval: true })
    : new Worker(workerUrl());
  worker.unref();
  const waiting = new Map<number, PromiseWithResolvers<boolean>>();
  let count = 0;
  let ended: Error | undefined;
  worker.on('message', ({ id, isPaired: isSigned, failure }: PairingReply) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
    if (isSigned === undefined) asked?.reject(new Error(failure));
    else asked?.resolve(isSigned);
  });
  const end = (error: Error) => {
    ended = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', end);
  worker.on('exit', () => end(new Error('the thread has ended')));
  return {
    isPaired(job) {
      if (ended) return Promise.reject(ended);
      count += 1;
      const asked = Promise.withResolvers<boolean>();
      waiting.set(count, asked);
      // A process that waits for an answer must not end before it.
      worker.ref();
      worker.postMessage({ id: count, job });
      return asked.promise;
    },
  };
}

/** Beside this file in the source; in the built program beside its chunks (scripts/bundle.ts). */
function workerUrl(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(isSource ? './pairing-worker.ts' : '../pairing-worker.js', import.meta.url);
}
