import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#base';
import { openStateObjects, setupCluster } from '#cluster';
import {
  addKey,
  createStore,
  openEtcdState,
  openKeyRing,
  openKubernetesState,
  openSqliteEngine,
  type Store,
  sealEngine,
} from '#state';
import { findBinaries } from '../integration/kube/binaries.ts';
import { startControlPlane } from '../integration/kube/control-plane.ts';
import { etcdProblem, startEtcd } from '../integration/state/etcd-server.ts';
import { openRegistry } from '../src/gateway/registry.ts';
import { toStored, workerKey } from '../src/gateway/stored-worker.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';

/** How long a gateway takes to open a state of so many workers, and what one decision costs, for each engine. */
const count = Number(process.argv[2] ?? 10_000);
const directory = await mkdtemp(join(tmpdir(), 'bench-state-'));
const keys = join(directory, 'keys');
await addKey({ file: keys }, systemClock.nowMs());
const ring = await openKeyRing({ file: keys });
const scope = `0x${'c1'.repeat(32)}`;

async function measure(name: string, open: () => Promise<Store>): Promise<void> {
  {
    await using store = await open();
    for (let start = 0; start < count; start += 1_000)
      await store.write(
        Array.from({ length: Math.min(1_000, count - start) }, (_value, index) => {
          const nodeId = `worker-${start + index}`;
          return { key: workerKey(nodeId), value: toStored(aWorker({ nodeId }), undefined) };
        }),
      );
  }
  const [before, startedAtMs] = [process.cpuUsage(), performance.now()];
  await using store = await open();
  const registry = await openRegistry(store);
  const openedMs = performance.now() - startedAtMs;
  const { user, system } = process.cpuUsage(before);
  const writes: number[] = [];
  for (let index = 0; index < 100; index += 1) {
    const atMs = performance.now();
    await registry.save({ worker: aWorker({ nodeId: `worker-${index}`, incarnation: 2 }) });
    writes.push(performance.now() - atMs);
  }
  const [median = 0, late = 0] = [50, 99].map((at) => writes.toSorted((a, b) => a - b)[at]);
  console.log(
    `${name.padEnd(18)} ${registry.workers().length} workers: opened in ${openedMs.toFixed(0)} ms (${((user + system) / 1_000).toFixed(0)} ms of CPU); a decision p50 ${median.toFixed(1)} ms, p99 ${late.toFixed(1)} ms`,
  );
}

await measure('sqlite', () => Promise.resolve(createStore(openSqliteEngine(join(directory, 'plain.db')))));
await measure('sqlite, sealed', async () =>
  createStore(await sealEngine(openSqliteEngine(join(directory, 'sealed.db')), ring, scope)),
);
if (etcdProblem() === undefined) {
  await using etcd = await startEtcd();
  await measure('etcd, sealed', async () => {
    const options = { endpoints: [etcd.url], prefix: '/bench', name: 'bench', leaseSeconds: 60 };
    const { engine, leadership } = await openEtcdState({ ...options, clock: systemClock });
    await leadership.untilLeading(AbortSignal.timeout(20_000));
    return createStore(await sealEngine(engine, ring, scope));
  });
}
const found = await findBinaries((line) => process.stderr.write(`${line}\n`));
if (found.kind === 'found') {
  await using plane = await startControlPlane(found.binaries);
  const setup = await setupCluster({ kubeconfig: { path: plane.adminKubeconfigPath } });
  const kubeconfig = { text: setup.kubeconfig?.reveal() ?? '' };
  await measure('kubernetes, sealed', async () => {
    const objects = openStateObjects({ kubeconfig });
    const options = { objects, name: 'bench', leaseSeconds: 60, clock: systemClock };
    const { engine, leadership } = await openKubernetesState(options);
    await leadership.untilLeading(AbortSignal.timeout(20_000));
    return createStore(await sealEngine(engine, ring, scope));
  });
}
await rm(directory, { recursive: true });
