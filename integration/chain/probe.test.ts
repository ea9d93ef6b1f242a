import { type LyingNode, startLyingNode } from '@k3s-daas/devnet';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Clock, silentLog, systemClock } from '#base';
import {
  type ChainClient,
  createChainClient,
  createProbing,
  createStakeChain,
  openNetwork,
  operations,
  type ProbeSchedule,
  type ProbeStatus,
  type Probing,
} from '#chain';
import { currentPin } from '#proof';
import { type LogRecord, memoryJournal, RecordingLog } from '#testing';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

/** One full node alone is asked, and it hides changes behind fresh tips. */
let world: ChainWorld;
let liar: LyingNode;

beforeAll(async () => {
  world = await startChainWorld();
  liar = await startLyingNode(world.devnet.ledger);
});
afterEach(() => liar.beHonest());
afterAll(async () => {
  await liar?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

async function openClient(clock: Clock): Promise<ChainClient> {
  const { endpoints } = await openNetwork([world.url], { clock: systemClock });
  return createChainClient({
    endpoints: [liar.url],
    deployment: { ...world.deployment, trust: await currentPin(endpoints) },
    clock,
    retryForMs: 0,
    proofWaitMs: 200,
  });
}

let nodes = 0;
async function joined() {
  nodes += 1;
  const wallet = await world.wallet();
  const journal = await world.journal(wallet);
  const chain = createStakeChain({ client: world.client, wallet, journal, log: silentLog });
  const request = {
    nodeId: `worker-${nodes}`,
    stakeMist: 2n * SUI,
    holderKey: new Uint8Array(32).fill(nodes),
  };
  return (await chain.join(request)).objectId;
}

/** The liar serves the objects as they are now, whatever happens; `withheld`: also to those who name a newer version. */
function hideChangesOf(ids: readonly string[], { withheld = false } = {}): void {
  for (const id of ids) {
    liar.lies.objects.set(id, world.devnet.ledger.objects.get(id) ?? 'absent');
    if (withheld) liar.lies.withheld.add(id);
  }
}

const slash = (recordId: string) =>
  operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });

/** Probes of a client that hears the liar alone; they begin when the test says so. */
class Watch implements AsyncDisposable {
  readonly client: ChainClient;
  readonly probing: Probing;
  readonly logged: readonly LogRecord[];
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  private constructor(client: ChainClient, probing: Probing, logged: readonly LogRecord[]) {
    this.client = client;
    this.probing = probing;
    this.logged = logged;
  }

  static async open(schedule: ProbeSchedule, sui = 1n, clock: Clock = systemClock): Promise<Watch> {
    const client = await openClient(clock);
    await client.cluster();
    const logged: LogRecord[] = [];
    const wallet = await world.wallet(sui);
    const log = new RecordingLog(logged);
    return new Watch(
      client,
      createProbing({ client, wallet, schedule, clock, log, journal: async () => memoryJournal() }),
      logged,
    );
  }

  /** Resolves after the first probe. */
  async begin(): Promise<void> {
    const { probing } = this;
    this.#running = probing.run(this.#stop.signal);
    const isOver = ({ balanceMist, failure }: ProbeStatus) =>
      balanceMist !== undefined || failure !== undefined;
    while (!isOver(probing.status())) await systemClock.sleep(10);
  }

  hasSaid(event: string, fields: Record<string, unknown> = {}): boolean {
    return this.logged.some((record) => {
      const said: Record<string, unknown> = { ...record.fields };
      return said.event === event && Object.entries(fields).every(([name, value]) => said[name] === value);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

const EVERY: ProbeSchedule = { kind: 'every', everyMs: 600_000 };

test('a slash that the only full node hides behind fresh tips is seen by the next probe', async () => {
  const recordId = await joined();
  await using watch = await Watch.open(EVERY);
  const { client } = watch;
  expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'active' });
  hideChangesOf([recordId, world.deployment.clusterId]);
  await slash(recordId);
  const { version } = await world.client.clusterState();
  expect((await client.cluster()).version).toBeLessThan(version);
  await watch.begin();
  const cluster = await client.cluster();
  expect(cluster).toMatchObject({ version, probedAtMs: watch.probing.status().seenAtMs });
  expect(cluster.criticalRing.map(({ record }) => record)).toContain(recordId);
  // The ring names the change, so the older record no longer counts.
  expect((await client.records([recordId])).get(recordId)).toBeUndefined();
  liar.beHonest();
  expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'slashed' });
});

test('a change that the cluster names and nobody shows is asked for, and one that is only left out of reads is found', async () => {
  const recordId = await joined();
  const asked: string[] = [];
  const { deployment } = await openClient(systemClock);
  const client = createChainClient({
    endpoints: [liar.url],
    deployment,
    clock: systemClock,
    retryForMs: 0,
    onHidden: (id) => asked.push(id),
  });
  await client.records([recordId]);
  hideChangesOf([recordId]);
  await slash(recordId);
  await client.cluster();
  expect((await client.records([recordId])).get(recordId)).toBeUndefined();
  expect(asked).toEqual([recordId]);
  const wallet = await world.wallet(1n);
  const made = createProbing({
    client,
    wallet,
    schedule: { kind: 'admissions' },
    clock: systemClock,
    log: silentLog,
    journal: async () => memoryJournal(),
  });
  made.ask(recordId);
  const stop = new AbortController();
  const run = made.run(stop.signal);
  while (made.status().seenAtMs === undefined) await systemClock.sleep(10);
  stop.abort();
  await run;
  expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'slashed' });
});

test('a probe that was asked for covers the record, also where its proof was pruned', async () => {
  const recordId = await joined();
  await using watch = await Watch.open({ kind: 'admissions' });
  const { client, probing: made } = watch;
  await client.records([recordId]);
  hideChangesOf([recordId, world.deployment.clusterId]);
  await slash(recordId);
  liar.lies.prunedBelow = world.devnet.ledger.tip.sequenceNumber + 1n;
  made.ask(recordId);
  await watch.begin();
  expect(made.status()).toMatchObject({ failure: undefined, hidden: [], sentToday: 1 });
  const { seenAtMs } = made.status();
  expect((await client.records([recordId])).get(recordId)).toMatchObject({
    status: 'slashed',
    probedAtMs: seenAtMs,
  });
});

test('what a probe has seen and nobody shows counts as not read, and an alarm names it', async () => {
  const recordId = await joined();
  await using watch = await Watch.open(EVERY);
  const { client, probing: made } = watch;
  const { clusterId } = world.deployment;
  hideChangesOf([recordId, clusterId], { withheld: true });
  await slash(recordId);
  await watch.begin();
  expect(made.status().hidden).toEqual([clusterId]);
  expect(watch.hasSaid('chain.change-hidden', { objectId: clusterId })).toBe(true);
  await expect(client.cluster()).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
  liar.beHonest();
  expect((await client.cluster()).criticalRing.map(({ record }) => record)).toContain(recordId);
});

test('a newer version ends the alarm over a hidden one: an old one that is shown afterwards takes nothing back', async () => {
  const recordId = await joined();
  await using watch = await Watch.open(EVERY);
  const { client } = watch;
  const { clusterId } = world.deployment;
  hideChangesOf([clusterId], { withheld: true });
  await slash(recordId);
  await watch.begin();
  await expect(client.cluster()).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
  const old = liar.lies.objects.get(clusterId) ?? 'absent';
  await slash(await joined());
  // The version that the probe has seen stays hidden; the next one is shown.
  hideChangesOf([clusterId], { withheld: true });
  const { version } = await client.cluster();
  liar.lies.objects.set(clusterId, old);
  expect(await client.cluster()).toMatchObject({ version });
});

test('a full node that keeps the probe to itself is named by an alarm, and what was known stays', async () => {
  // A minute passes in 60 ms.
  const quick = { ...systemClock, monotonicMs: () => performance.now() * 1_000 };
  await using watch = await Watch.open(EVERY, 1n, quick);
  liar.lies.refusesTransactions = true;
  await watch.begin();
  expect(watch.hasSaid('chain.probe-failed')).toBe(true);
  expect(watch.probing.status().seenAtMs).toBeUndefined();
  expect(await watch.client.cluster()).toBeDefined();
});

test('an empty wallet brings nothing, and the reason is said', async () => {
  await using watch = await Watch.open(EVERY, 0n);
  await watch.begin();
  expect(watch.probing.status().seenAtMs).toBeUndefined();
  expect(watch.probing.status().failure).toMatch(/SUI/);
  expect(watch.hasSaid('chain.probe-failed')).toBe(true);
});

test('a probe costs about 0.001 SUI, and its effects name exactly what it was given', async () => {
  const recordId = await joined();
  await using watch = await Watch.open({ kind: 'admissions' });
  watch.probing.ask(recordId);
  await watch.begin();
  const { costMist = 0n, hidden, sentToday, spentTodayMist } = watch.probing.status();
  expect({ hidden, sentToday }).toEqual({ hidden: [], sentToday: 1 });
  expect(spentTodayMist).toBe(costMist);
  expect(costMist).toBeGreaterThan(500_000n);
  expect(costMist).toBeLessThan(2_000_000n);
});
