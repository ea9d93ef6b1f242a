import type { Lifetime } from '#base';
import {
  type ControllerMemory,
  type ControllerPace,
  holdNode,
  releaseNode,
  runControllers,
} from './controllers.ts';
import { tokensOfServiceAccounts } from './service-accounts.ts';
import { named, type Store } from './store.ts';

/** Rounds of the controllers: on a timer, and soon after every change. */
export function runControllersOf(
  store: Store,
  nowMs: () => number,
  pace: ControllerPace,
  lifetime: Lifetime,
): void {
  const memory: ControllerMemory = new Map();
  let isDue = false;
  const round = () => {
    isDue = false;
    tokensOfServiceAccounts(store);
    runControllers(store, nowMs(), pace, memory);
  };
  const timer = setInterval(round, pace.tickMs);
  const unsubscribe = store.subscribe(() => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      if (!lifetime.isClosed) round();
    });
  });
  lifetime.defer('controllers', () => {
    clearInterval(timer);
    unsubscribe();
  });
}

const releaseAfterMs = 100;

/** k3s' own controller of Nodes, which does not wait for a round. */
export function holdNodes(store: Store, lifetime: Lifetime): void {
  const later = new Set<NodeJS.Timeout>();
  function soon(act: typeof holdNode, name: string | undefined, delayMs: number): void {
    const timer = setTimeout(() => {
      later.delete(timer);
      const node = store.get(named.node, '', name ?? '');
      if (node) act(store, node);
    }, delayMs);
    later.add(timer);
  }
  for (const node of store.list(named.node)) holdNode(store, node);
  const unsubscribe = store.subscribe(({ type, resource, object: { metadata } }) => {
    if (resource !== 'nodes' || type === 'DELETED') return;
    if (metadata.deletionTimestamp === undefined) soon(holdNode, metadata.name, 0);
    else soon(releaseNode, metadata.name, releaseAfterMs);
  });
  lifetime.defer('the hold on nodes', () => {
    unsubscribe();
    for (const timer of later) clearTimeout(timer);
  });
}
