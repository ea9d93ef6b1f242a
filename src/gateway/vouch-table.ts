import type { Vouch, VouchTable } from '#domain';
import type { Registry } from './registry.ts';
import { vouchesOf, type Worker } from './worker.ts';

/** The vouches of all workers in memory, by fingerprint; it follows the registry. */
export function createVouchTable(registry: Registry): VouchTable {
  const byFingerprint = new Map<string, Vouch>();
  const drop = (worker: Worker) => {
    for (const { fingerprint } of vouchesOf(worker))
      if (byFingerprint.get(fingerprint)?.nodeId === worker.nodeId) byFingerprint.delete(fingerprint);
  };
  const add = (worker: Worker) => {
    for (const vouch of vouchesOf(worker)) byFingerprint.set(vouch.fingerprint, vouch);
  };
  for (const worker of registry.workers()) add(worker);
  registry.onWorkerChange((before, after) => {
    if (before) drop(before);
    if (after) add(after);
  });
  return {
    byFingerprint: (fingerprint) => byFingerprint.get(fingerprint),
    ofNode(nodeId) {
      const worker = registry.worker(nodeId);
      return worker ? vouchesOf(worker) : [];
    },
  };
}
