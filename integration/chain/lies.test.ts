import { setTimeout as realDelay } from 'node:timers/promises';
import { type LyingNode, startLyingNode } from '@k3s-daas/devnet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Clock, silentLog } from '#base';
import {
  type ChainClient,
  createChainClient,
  createStakeChain,
  type Deployment,
  openNetwork,
  operations,
} from '#chain';
import { currentPin, type Pairing, type TrustPin } from '#proof';
import { seededRandom } from '#testing';
import { isPaired, pairingJobOf } from '../../src/chain/proof/certificate.ts';
import { KeyCache } from '../../src/chain/proof/committee.ts';
import { ProofError } from '../../src/chain/proof/proof-error.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';
import {
  EVIL_URL,
  FORGED_KEY,
  INVENTED_RECORD,
  INVENTED_TOKEN,
  pick,
  type Stage,
  tellLies,
  type Victim,
} from './lies.ts';

/** Another number of schedules, or another seed, shows other ones: K3S_DAAS_TEST_LIES=5000,7. */
const [SCHEDULES = 500, SEED = 20261129] = (process.env.K3S_DAAS_TEST_LIES ?? '')
  .split(',')
  .filter(Boolean)
  .map(Number);
/** A second of the client takes ten milliseconds. */
const SPEED = 100;

let world: ChainWorld;
let liars: [LyingNode, LyingNode];
let trust: TrustPin;
const victims: Victim[] = [];
/** Records that were slashed in truth. */
const slashed = new Set<string>();

beforeAll(async () => {
  world = await startChainWorld();
  liars = [await startLyingNode(world.devnet.ledger), await startLyingNode(world.devnet.ledger)];
  const { endpoints } = await openNetwork([world.url], { clock: fastClock() });
  trust = await currentPin(endpoints);
  await operations.addGateway.execute(world.actor, {
    url: 'https://gateway.example:8443',
    tlsPins: [new Uint8Array(32).fill(1)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32).fill(2),
    tier: 'basic',
  });
  for (let count = 0; count < 3; count += 1) await join();
  await slashOne();
  for (let epoch = 0; epoch < 3; epoch += 1) world.devnet.advanceEpoch();
});
afterAll(async () => {
  for (const liar of liars ?? []) await liar[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

function fastClock(): Clock {
  const startedMs = performance.now();
  const monotonicMs = () => (performance.now() - startedMs) * SPEED;
  const beganMs = Date.now();
  return {
    monotonicMs,
    nowMs: () => beganMs + monotonicMs(),
    sleep: async (delayMs, signal) => {
      await realDelay(delayMs / SPEED, undefined, signal ? { signal } : {});
    },
  };
}

async function join(): Promise<void> {
  const wallet = await world.wallet();
  const journal = await world.journal(wallet);
  const chain = createStakeChain({ client: world.client, wallet, journal, log: silentLog });
  const holderKey = new Uint8Array(32).fill(victims.length + 1);
  const nodeId = `worker-${victims.length + 1}`;
  const { objectId: recordId } = await chain.join({ nodeId, stakeMist: 2n * SUI, holderKey });
  const { token } = (await world.client.records([recordId])).get(recordId) ?? {};
  victims.push({ recordId, tokenId: token as string });
}

async function slashOne(): Promise<void> {
  const victim = victims.find(({ recordId }) => !slashed.has(recordId));
  if (!victim) return;
  const { recordId } = victim;
  // Before it happens: a client may read it in the same moment.
  slashed.add(recordId);
  await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
}

/** Each signature is verified once for all schedules: the function is pure. */
const verdicts = new Map<string, boolean>();
const keys = new KeyCache();
const pairing: Pairing = async (prepared) => {
  const job = pairingJobOf(prepared);
  const name = [job.message, job.signature, ...job.publicKeys]
    .map((bytes) => Buffer.from(bytes).toString('base64'))
    .join();
  const verdict = verdicts.get(name) ?? isPaired(job, keys);
  verdicts.set(name, verdict);
  if (!verdict) throw new ProofError('signature-invalid', 'not signed by the committee');
  return prepared.checkpoint;
};

function openClient(endpoints: readonly string[], deployment: Deployment): ChainClient {
  return createChainClient({
    endpoints,
    deployment,
    clock: fastClock(),
    retryForMs: 0,
    pairing,
    proofWaitMs: 300,
  });
}

interface Harm {
  evictions: number;
  admissions: number;
  foreignGateways: number;
  stale: number;
}

/** What a gateway or a worker would do on what the client reads now. A read that fails decides nothing. */
async function readAll(client: ChainClient, harm: Harm): Promise<void> {
  const unread = () => undefined;
  const cluster = await client.cluster().catch(unread);
  if (cluster?.gateways.some(({ url }) => url === EVIL_URL)) harm.foreignGateways += 1;
  const records = await client
    .records([...victims.map(({ recordId }) => recordId), INVENTED_RECORD])
    .catch(unread);
  for (const [id, record] of records ?? []) {
    if (record && record.status !== 'active' && !slashed.has(id)) harm.evictions += 1;
    if (record && (id === INVENTED_RECORD || record.id !== id)) harm.admissions += 1;
  }
  const tokens = await client
    .tokens([...victims.map(({ tokenId }) => tokenId), INVENTED_TOKEN])
    .catch(unread);
  for (const [id, token] of tokens ?? [])
    if (token && (id === INVENTED_TOKEN || Buffer.from(token.holderKey).equals(FORGED_KEY)))
      harm.admissions += 1;
}

/** Two seconds, and as much again for a busy machine. */
const NEWS_MS = 4_000;

/** Whether the newest cluster is read soon, where one endpoint is honest. */
async function isNewsSeen(client: ChainClient, version: bigint): Promise<boolean> {
  const endsMs = performance.now() + NEWS_MS;
  while (performance.now() < endsMs) {
    const cluster = await client.cluster().catch(() => undefined);
    if (cluster && cluster.version >= version) return true;
    await realDelay(5);
  }
  return false;
}

test('random schedules of lies evict nobody wrongly, admit no stake that never was, and lead to no foreign gateway', {
  timeout: 900_000,
}, async () => {
  const random = seededRandom(SEED);
  const stage: Stage = { world, victims, random };
  const harm: Harm = { evictions: 0, admissions: 0, foreignGateways: 0, stale: 0 };
  for (let schedule = 0; schedule < SCHEDULES; schedule += 1) {
    if (schedule % 40 === 39) await pick(stage, [join, slashOne, async () => world.devnet.advanceEpoch()])();
    for (const liar of liars) liar.beHonest();
    const hasHonest = random() < 0.6;
    const urls = [liars[0].url, ...(hasHonest ? [liars[1].url, world.url] : [])];
    const client = openClient(urls, { ...world.deployment, trust });
    const told = liars.flatMap((liar) => tellLies(liar, stage));
    await readAll(client, harm);
    const { version } = await world.client.clusterState();
    if (hasHonest && !(await isNewsSeen(client, version))) harm.stale += 1;
    expect(harm, `seed ${SEED}, schedule ${schedule}: ${told.join(', ')}`).toEqual({
      evictions: 0,
      admissions: 0,
      foreignGateways: 0,
      stale: 0,
    });
  }
});

test('the same lies work on a client that believes its full node', async () => {
  const stage: Stage = { world, victims, random: seededRandom(SEED) };
  const harm: Harm = { evictions: 0, admissions: 0, foreignGateways: 0, stale: 0 };
  for (let schedule = 0; schedule < 60; schedule += 1) {
    const [liar] = liars;
    liar.beHonest();
    tellLies(liar, stage);
    await readAll(openClient([liar.url], world.deployment), harm);
  }
  expect(Math.min(harm.evictions, harm.admissions, harm.foreignGateways)).toBeGreaterThan(0);
});
