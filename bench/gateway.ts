import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { STAKER } from '../src/gateway/ids.fixture.ts';
import { testTls } from '../src/gateway/tls.fixture.ts';
import { benchGateway, storeMembers } from './bench-gateway.ts';

/**
 * A gateway on a chain and a cluster in memory that already has so many members: how long its start takes, how long it
 * blocks its thread, what it costs at rest, and what a challenge costs over a kept connection.
 */
const members = Number(process.argv[2] ?? 10_000);
const restSeconds = Number(process.argv[3] ?? 70);
const challenges = Number(process.argv[4] ?? 3_000);

const directory = await mkdtemp(join(tmpdir(), 'bench-gateway-'));
const gatewayParts = await benchGateway(directory, await testTls(), {
  admit: { maxNodes: 100_000 },
  limits: { addressRate: 100_000, addressBurst: 100_000 },
});
const { chain, start } = gatewayParts;
await storeMembers(gatewayParts, members);

/** Batches of tokens and of records, as one call each to a full node. */
const readsOfChain = () => chain.asked.tokens.length + chain.asked.records.length;
const blocked = monitorEventLoopDelay({ resolution: 10 });
blocked.enable();
/** What the gateway's own round of work costs at rest: it goes on while others are measured. */
let restShare = 0;
const measure = async <T>(what: string, work: () => Promise<T>, operations = 0): Promise<T> => {
  blocked.reset();
  const askedBefore = readsOfChain();
  const [before, startedAtMs] = [process.cpuUsage(), performance.now()];
  const result = await work();
  // The delay of a block shows with the first timer after it.
  await sleep(30);
  const { user, system } = process.cpuUsage(before);
  const [tookMs, cpuMs] = [performance.now() - startedAtMs, (user + system) / 1_000];
  const round = (ms: number) => Math.round(ms);
  console.log(
    JSON.stringify({
      what,
      members,
      ms: round(tookMs),
      cpuMs: round(cpuMs),
      longestBlockMs: round(blocked.max / 1e6),
      // The monitor looks every 10 ms, and counts those in.
      delayP99Ms: Math.max(0, round(blocked.percentile(99) / 1e6 - 10)),
      cpuPercent: Math.round((1_000 * cpuMs) / tookMs) / 10,
      chainReadsASecond: Math.round((10_000 * (readsOfChain() - askedBefore)) / tookMs) / 10,
      rssMiB: round(process.memoryUsage.rss() / 2 ** 20),
      ...(operations > 0 && { usEachAboveRest: round((1_000 * (cpuMs - restShare * tookMs)) / operations) }),
    }),
  );
  if (what.startsWith('rest')) restShare = cpuMs / tookMs;
  return result;
};

const gateway = await measure('start', start);
const heard = setInterval(() => chain.report(), 1_000);
await measure('first reading of all facts', async () => {
  while (chain.asked.tokens.flat().length < members) await sleep(20);
});
await measure(`rest of ${restSeconds} s`, () => sleep(restSeconds * 1_000));

const agent = new Agent({ keepAlive: true, maxSockets: 16, rejectUnauthorized: false });
const ask = (index: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const url = `${gateway.publicUrl}/api/v1/challenge?node_id=new-${index}&staker=${STAKER}`;
    request(url, { agent }, (reply) => {
      reply.resume();
      reply.once('end', () =>
        reply.statusCode === 200 ? resolve() : reject(new Error(`${reply.statusCode}`)),
      );
    })
      .once('error', reject)
      .end();
  });
/** The first round is slower, whatever the number of members: its code is not compiled yet. */
for (const round of [1, 2, 3]) {
  let next = 0;
  const askOn = async (): Promise<void> => {
    while (next < challenges) await ask(next++);
  };
  await measure(
    `${challenges} challenges, 16 at once, client included, round ${round}`,
    async () => void (await Promise.all(Array.from({ length: 16 }, askOn))),
    challenges,
  );
}

clearInterval(heard);
agent.destroy();
await gateway[Symbol.asyncDispose]();
await rm(directory, { recursive: true });
