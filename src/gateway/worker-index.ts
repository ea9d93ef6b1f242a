import { isAdmitted, type Worker } from './worker.ts';

/** `before` is undefined for a new worker, `after` for one that was forgotten. */
export type WorkerChange = (before: Worker | undefined, after: Worker | undefined) => void;

/** The workers by node id and by token, so that no request has to look at all of them. */
export interface WorkerIndex {
  get(nodeId: string): Worker | undefined;
  /** A token is bound to one node id, so there is at most one. */
  ofToken(tokenId: string): Worker | undefined;
  all(): readonly Worker[];
  admittedCount(): number;
  set(worker: Worker): void;
  delete(nodeId: string): void;
  /** Called at every change, once it counts. */
  onChange(listener: WorkerChange): void;
}

export function createWorkerIndex(): WorkerIndex {
  const workers = new Map<string, Worker>();
  const nodeOfToken = new Map<string, string>();
  const listeners: WorkerChange[] = [];
  let admitted = 0;

  function replace(before: Worker | undefined, after: Worker | undefined): void {
    admitted += Number(after !== undefined && isAdmitted(after));
    admitted -= Number(before !== undefined && isAdmitted(before));
    if (before && nodeOfToken.get(before.tokenId) === before.nodeId) nodeOfToken.delete(before.tokenId);
    if (after) nodeOfToken.set(after.tokenId, after.nodeId);
    for (const listener of listeners) listener(before, after);
  }

  return {
    get: (nodeId) => workers.get(nodeId),
    ofToken: (tokenId) => {
      const nodeId = nodeOfToken.get(tokenId);
      return nodeId === undefined ? undefined : workers.get(nodeId);
    },
    all: () => [...workers.values()],
    admittedCount: () => admitted,
    set(worker) {
      const before = workers.get(worker.nodeId);
      workers.set(worker.nodeId, worker);
      replace(before, worker);
    },
    delete(nodeId) {
      const before = workers.get(nodeId);
      workers.delete(nodeId);
      if (before) replace(before, undefined);
    },
    onChange: (listener) => void listeners.push(listener),
  };
}
