import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { createStore, openSqliteEngine } from '#state';
import { openRegistry } from '../src/gateway/registry.ts';
import { toStored, workerKey } from '../src/gateway/stored-worker.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';
import type { LastHeartbeat } from '../src/gateway/worker.ts';

/** The figures of heartbeats on their way to the disk: how long the store holds the thread at most while it writes those of so many workers. */
const members = Number(process.argv[2] ?? 10_000);
const turns = Number(process.argv[3] ?? 5);
const directory = await mkdtemp(join(tmpdir(), 'bench-flush-'));
const store = createStore(openSqliteEngine(join(directory, 'state.db')));
const nodeIds = Array.from({ length: members }, (_, index) => `worker-${index}`);
await store.write(
  nodeIds.map((nodeId, index) => ({
    key: workerKey(nodeId),
    value: toStored(aWorker({ nodeId, tokenId: `0x${index}` }), undefined),
  })),
);
const registry = await openRegistry(store);
const heartbeat = (sequence: number): LastHeartbeat => ({
  incarnation: 1,
  sequence,
  lastHeartbeatMs: Date.now(),
  agentState: 'ready',
  stakeStatus: 'active',
  stakeAmount: '2000000000',
  runningPods: 3,
  resourceUsage: { cpuPercent: 1, memoryPercent: 2, diskPercent: 3 },
  goodAtMs: Date.now(),
});
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
for (let turn = 0; turn <= turns; turn += 1) {
  for (const nodeId of nodeIds) registry.recordHeartbeat(nodeId, heartbeat(turn + 1));
  await sleep(50);
  delay.reset();
  const [before, startedAtMs] = [process.cpuUsage(), performance.now()];
  await registry.flush();
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - startedAtMs;
  await sleep(20);
  // The first turn compiles.
  if (turn > 0)
    console.log(
      JSON.stringify({
        turn,
        members,
        ms: Math.round(ms),
        usOfCpuEach: Math.round((user + system) / members),
        longestBlockMs: Math.round(delay.max / 1e5) / 10,
      }),
    );
}
delay.disable();
await store[Symbol.asyncDispose]();
await rm(directory, { recursive: true });
