import { setTimeout as sleep } from 'node:timers/promises';
import { Lifetime, Secret, systemClock } from '#base';
import { bodyDigest, createProofSigner, nodeKeyFromSeed } from '#seal';
import { createDeciders, type GatewayOptions, openRecords } from '../src/gateway/gateway-parts.ts';
import { GATEWAY_ID } from '../src/gateway/ids.fixture.ts';
import type { ProvenRequest } from '../src/gateway/verdict-refusals.ts';
import { type BenchGateway, storeMembers } from './bench-gateway.ts';

/** A newcomer that has staked, with the proof of its registration. */
export interface Newcomer {
  readonly nodeId: string;
  readonly request: ProvenRequest;
}

/** The parts of a gateway that register workers, without the loops that reconcile and without a listener. */
export interface Registering extends AsyncDisposable {
  /** So many stake and sign; the facts of each are in the cache afterwards. */
  newcomers(count: number): Promise<readonly Newcomer[]>;
  /** The verdict on the proof, then the admission, up to the join credential. */
  register(newcomer: Newcomer): Promise<void>;
  /** They are forgotten, so that the gateway has as many workers as before. */
  forget(newcomers: readonly Newcomer[]): Promise<void>;
}

const path = '/api/v1/nodes/register';
const body = Buffer.from('{}');
const target = { audience: GATEWAY_ID, method: 'POST', path, bodyDigest: bodyDigest(body) };
const keys = Array.from({ length: 64 }, (_, index) =>
  nodeKeyFromSeed(new Secret((index + 1).toString(16).padStart(64, '0'))),
);

/**
 * Opens the parts over a state of so many members, and waits until the facts of all have been read. `kubernetes` instead of the
 * cluster in memory.
 */
export async function openRegistering(
  gateway: BenchGateway,
  members: number,
  { kubernetes = gateway.kubernetes }: { readonly kubernetes?: GatewayOptions['kubernetes'] } = {},
): Promise<Registering> {
  const { chain } = gateway;
  await storeMembers(gateway, members);
  const life = new Lifetime();
  // Facts are read again a minute after they were read, and not before: what is measured is over by then.
  const options: GatewayOptions = { ...gateway.options, kubernetes, random: () => 1 };
  const records = await openRecords(options, life);
  // Proofs are dated in whole milliseconds.
  const parts = createDeciders(options, records, systemClock.monotonicMs() - 1_000);
  const { facts, challenges, verifier, admission } = parts;
  const stop = new AbortController();
  const following = facts.follow({ changed: () => undefined, allChanged: () => undefined }, stop.signal);
  const heard = setInterval(() => chain.report(), 1_000);
  life.defer('the chain', async () => {
    clearInterval(heard);
    stop.abort();
    await following.catch(() => undefined);
  });
  while (chain.asked.tokens.flat().length < members) await sleep(50);
  let last = 0;

  const newcomer = async (): Promise<Newcomer> => {
    last += 1;
    const nodeId = `new-${last}`;
    const key = keys[last % keys.length] as (typeof keys)[number];
    const { tokenId } = chain.stake(nodeId, key.publicKey, { announce: false });
    await facts.read(tokenId, nodeId);
    const { nonce } = challenges.issue(nodeId, systemClock.monotonicMs());
    const proof = await createProofSigner(nodeId, key).sign({
      sealTokenId: tokenId,
      ...{ audience: GATEWAY_ID, method: 'POST', path, body },
      nowMs: Date.now(),
      freshness: { kind: 'nonce', nonce },
    });
    return { nodeId, request: { proof, target, address: '192.0.2.1', peer: undefined, requestId: 'r' } };
  };

  return {
    newcomers: (count) => Promise.all(Array.from({ length: count }, newcomer)),
    async register({ request }) {
      const registrant = await verifier.registration(request);
      const { join } = await admission.admit({ ...registrant, nodePasswordHash: 'hash', host: {} });
      if (!join) throw new Error(`${registrant.nodeId} got no join credential`);
    },
    async forget(newcomers) {
      await Promise.all(newcomers.map(({ nodeId }) => records.registry.forget(nodeId)));
    },
    [Symbol.asyncDispose]: () => life.close(),
  };
}
