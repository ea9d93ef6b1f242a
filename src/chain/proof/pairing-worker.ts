import { parentPort } from 'node:worker_threads';
import { isPaired, type PairingJob } from './certificate.ts';
import { KeyCache } from './committee.ts';
import type { PairingReply } from './pairing.ts';

// The thread of `openPairingWorker`.
const keys = new KeyCache();

parentPort?.on('message', ({ id, job }: { readonly id: number; readonly job: PairingJob }) => {
  parentPort?.postMessage(replyTo(id, job));
});

function replyTo(id: number, job: PairingJob): PairingReply {
  try {
    return { id, isPaired: isPaired(job, keys) };
  } catch (error) {
    return { id, failure: String(error) };
  }
}
