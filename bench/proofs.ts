import { monitorEventLoopDelay } from 'node:perf_hooks';
import { prepareCheckpoint, verifySignature } from '../src/chain/proof/certificate.ts';
import { KeyCache } from '../src/chain/proof/committee.ts';
import { createCommitteeFollower } from '../src/chain/proof/committee-follower.ts';
import { Committees } from '../src/chain/proof/committees.ts';
import { DAY_MS, epochChain, FIRST_END_MS } from '../src/chain/proof/epochs.fixture.ts';
import { createPairing } from '../src/chain/proof/pairing.ts';
import { signedCheckpoint, signedWrite, signingCommittee } from '../src/chain/proof/signed-chain.fixture.ts';
import { verifyTransaction } from '../src/chain/proof/transaction-proof.ts';

/**
 * What proofs cost with a committee of mainnet's size: CPU of a summary, of a whole proof, of a committee step, and of
 * following over many epochs; delay of the event loop with and without the worker thread. Arguments: validators, rounds,
 * epochs.
 */
const [validators = 106, rounds = 40, epochs = 400] = process.argv.slice(2).map(Number);
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
const round = (value: number) => Math.round(value * 10) / 10;
const say = (name: string, facts: object) => console.log(JSON.stringify({ name, ...facts }));

const least = BigInt(Math.floor(10_000 / validators));
const powers = Array.from({ length: validators }, (_, index) =>
  index === 0 ? 10_000n - least * BigInt(validators - 1) : least,
);
const committee = signingCommittee(3n, powers);
const signers = Array.from({ length: Math.ceil((validators * 2) / 3) + 1 }, (_, index) => index);
const summaries = Array.from({ length: rounds }, (_, index) =>
  signedCheckpoint(committee, { height: BigInt(index), signers }),
);
const prepared = summaries.map((summary) => prepareCheckpoint(committee, summary));

function measure(name: string, count: number, body: (index: number) => unknown): void {
  const startedMs = cpuMs();
  for (let index = 0; index < count; index += 1) body(index);
  say(name, { cpuMs: round((cpuMs() - startedMs) / count) });
}

const keys = new KeyCache();
measure('all keys of a committee, parsed for the first time', 1, () =>
  committee.members.map(({ publicKey }) => keys.point(publicKey)),
);
measure('a summary, keys known', rounds, (index) =>
  verifySignature(prepared[index] as (typeof prepared)[number], keys),
);
const write = signedWrite(committee);
const known = () => new Committees([{ committee, namedBy: undefined }], { keys });
measure('a whole proof of one object', rounds, () => verifyTransaction(known(), write));
const parts = [write.summary, write.signature, write.contents, write.effects, ...write.objects];
say('bytes of that proof', { bytes: parts.reduce((sum, { length }) => sum + length, 0) });
const last = signedCheckpoint(committee, { next: { ...committee, epoch: 4n }, signers });
measure('a committee step', rounds, () => known().follow(last));
say('bytes of a committee step', { bytes: last.summary.length + last.signature.length });

const chain = epochChain(epochs);
const follower = createCommitteeFollower({
  nodes: chain.nodes,
  anchors: { trust: chain.pinOf(0), recentTrust: chain.pinOf(epochs - 1) },
  nowMs: () => FIRST_END_MS + epochs * DAY_MS,
});
const followedFromMs = cpuMs();
const { newestEpoch } = await follower.upTo(BigInt(epochs), chain.nodes);
say('following with one validator', { epochs: Number(newestEpoch), cpuMs: round(cpuMs() - followedFromMs) });

/** Ten a second for three seconds: how late a timer of one millisecond comes. */
async function loopDelay(name: string, fewASecond: number): Promise<void> {
  const pairing = createPairing({ fewASecond });
  for (const one of prepared.slice(0, 2)) await pairing(one);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  for (const one of prepared.slice(0, 30))
    await Promise.all([pairing(one), new Promise((done) => setTimeout(done, 100))]);
  delay.disable();
  const ms = (ns: number) => round(ns / 1e6);
  say(name, { p50Ms: ms(delay.percentile(50)), p99Ms: ms(delay.percentile(99)), mostMs: ms(delay.max) });
}
await loopDelay('event loop, ten a second on the calling thread', Number.POSITIVE_INFINITY);
await loopDelay('event loop, ten a second in the worker thread', 0);
