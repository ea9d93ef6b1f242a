import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createStore, openSqliteEngine, type Store } from '#state';
import { openRegistry } from '../src/gateway/registry.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';
import { costOfEach } from './cpu.ts';

/** Durable decisions, 64 in flight, as registrations make them: time, CPU, and how often the disk was waited for. */
const count = Number(process.argv[2] ?? 2_000);
const directory = await mkdtemp(join(tmpdir(), 'bench-registry-'));
const disk = createStore(openSqliteEngine(join(directory, 'state.db')));
let transactions = 0;
const store: Store = {
  ...disk,
  write(changes) {
    transactions += 1;
    return disk.write(changes);
  },
};
const registry = await openRegistry(store);
const { cpuUs, us } = await costOfEach(count, 64, async (index) => {
  await registry.save({ worker: aWorker({ nodeId: `worker-${index}`, tokenId: `0x${index}` }) });
  // Registrations come and go by the network, not all in one turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
});
console.log(
  JSON.stringify({ saves: count, transactions, usOfCpuEach: Math.round(cpuUs), usEach: Math.round(us) }),
);
await disk[Symbol.asyncDispose]();
await rm(directory, { recursive: true });
