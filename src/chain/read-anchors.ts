import type { GrpcTypes } from '@mysten/sui/grpc';
import { toBase64 } from '@mysten/sui/utils';
import { verifyTransactionSignature } from '@mysten/sui/verify';
import { type Clock, DaasError } from '#base';
import type { AuditAnchor } from '#domain';
import { type AnchoringTransaction, type AnchorOwner, readAnchoring } from './audit-anchor.ts';
import type { ChainClient } from './chain-client.ts';
import { readCoins } from './coins.ts';
import { allFailed, type Endpoint } from './endpoints/index.ts';
import { readObjects } from './object-reads.ts';

export interface AnchorsWanted extends Pick<AnchorOwner, 'gatewayId'> {
  /** The wallet that pays for the gateway's probes. */
  readonly wallet: string;
  /** So many of each coin's history, the newest first. */
  readonly mostPerCoin: number;
  /** Those that are later than this are shown too, and do not count among these. */
  readonly untilMs?: number;
  /** Transactions to begin at too: one of the wallet is found also where its coins are gone. */
  readonly from?: readonly string[];
  readonly clock: Clock;
  /** What is there by then is shown; without it the first full node is waited for. */
  readonly mostMs?: number;
  /** For the others, once one has answered: a node that hangs must not keep what the rest show. */
  readonly othersMs?: number;
}

/** What the full nodes show. */
export interface AnchorsShown {
  /** Each once, whichever node has shown it. */
  readonly anchors: readonly AuditAnchor[];
  /** How many full nodes have shown all that they were asked for, of how many. */
  readonly answered: number;
  readonly asked: number;
}

/** The richest ones: dust that anybody has sent does not hide the coin that pays. */
const MOST_COINS = 50;
/** One node is asked for no more, also when other payments of the wallet came after the anchor. */
const MOST_TRANSACTIONS = 200;
const OTHERS_MS = 5_000;

/**
 * The heads that a wallet has anchored for a gateway, found by its coins: each names the transaction that wrote it last, and that
 * one the coins that it paid with. Every full node is asked. None can make an anchor up, since the wallet has signed it; one that
 * hides the newest is overruled by another that shows it.
 * @throws why no full node has shown anything.
 */
export async function readAnchors(
  { endpoints, deployment }: Pick<ChainClient, 'endpoints' | 'deployment'>,
  wanted: AnchorsWanted,
  signal?: AbortSignal,
): Promise<AnchorsShown> {
  const { wallet, gatewayId, clock, mostMs = Number.POSITIVE_INFINITY, othersMs = OTHERS_MS } = wanted;
  const owner = { clusterId: deployment.clusterId, gatewayId };
  const over = new AbortController();
  const ended = AbortSignal.any(signal ? [signal, over.signal] : [over.signal]);
  const untilMs = wanted.untilMs ?? Number.POSITIVE_INFINITY;
  const asked = { ...wanted, wallet, owner, untilMs, signal: ended };
  const walks = endpoints.all.map((endpoint): Walk => ({ ...asked, endpoint, found: [], isBegun: false }));
  const failures: unknown[] = [];
  const first = Promise.withResolvers<void>();
  let answered = 0;
  const all = Promise.all(
    walks.map(async (walk) => {
      try {
        await takeAnchors(walk);
        answered += 1;
        first.resolve();
      } catch (error) {
        failures.push(error);
      }
    }),
  );
  const within = async (ms: number) => {
    if (ms < Number.POSITIVE_INFINITY) await clock.sleep(ms, ended).catch(() => undefined);
    else await all;
  };
  const late = within(mostMs);
  await Promise.race([all, first.promise, late]);
  await Promise.race([all, within(othersMs), late]);
  const reason = new Error(`no answer within ${mostMs} ms`);
  over.abort(reason);
  signal?.throwIfAborted();
  // A long walk that was cut has shown the newest.
  if (!walks.some(({ isBegun }) => isBegun)) throw allFailed(failures.length > 0 ? failures : [reason]);
  const anchors = new Map(walks.flatMap(({ found }) => found).map((anchor) => [anchor.digest, anchor]));
  return { anchors: [...anchors.values()], answered, asked: endpoints.all.length };
}

/** Of what one full node shows. */
interface Walk {
  readonly endpoint: Endpoint;
  readonly owner: AnchorOwner;
  readonly wallet: string;
  readonly mostPerCoin: number;
  readonly untilMs: number;
  readonly from?: readonly string[];
  readonly signal: AbortSignal;
  readonly found: AuditAnchor[];
  /** It has named the coins. */
  isBegun: boolean;
}

/** A transaction to look at, and how many anchors the coin that leads there has shown already. */
interface Step {
  readonly digest: string;
  readonly shown: number;
}

async function takeAnchors(walk: Walk): Promise<void> {
  const { found, from = [], untilMs, mostPerCoin } = walk;
  const seen = new Set<string>();
  const written = await lastWritesOf(walk);
  walk.isBegun = true;
  let steps: readonly Step[] = [...from, ...written].map((digest) => ({ digest, shown: 0 }));
  while (steps.length > 0 && seen.size < MOST_TRANSACTIONS) {
    const fresh = [...new Map(steps.map((step) => [step.digest, step])).values()]
      .filter(({ digest }) => !seen.has(digest))
      .slice(0, MOST_TRANSACTIONS - seen.size);
    for (const { digest } of fresh) seen.add(digest);
    const next = await Promise.all(
      fresh.map(async ({ digest, shown }) => {
        const transaction = await signedBy(digest, walk);
        if (!transaction) return [];
        const { anchor } = transaction;
        if (anchor) found.push(anchor);
        const count = shown + (anchor && anchor.atMs <= untilMs ? 1 : 0);
        if (count >= mostPerCoin) return [];
        return (await writesBefore(transaction, walk)).map((before) => ({ digest: before, shown: count }));
      }),
    );
    steps = next.flat();
  }
}

/** The transactions that wrote the wallet's coins last. */
async function lastWritesOf({ endpoint, wallet, signal }: Walk): Promise<readonly string[]> {
  return endpoint.call(
    'the coins of the wallet that pays for probes',
    async (client, ended) => {
      const coins = (await readCoins(client, wallet, ended)).slice(0, MOST_COINS);
      const ids = coins.map(({ objectId }) => objectId);
      const objects = ids.length === 0 ? new Map() : await readObjects(client, ids, ended);
      return [...objects.values()].map(({ previousTransaction }) => previousTransaction);
    },
    signal,
  );
}

/** `undefined`: the node has pruned it, or the wallet did not sign it: then it says nothing, and the coin's history ends there. */
async function signedBy(
  digest: string,
  { endpoint, owner, wallet, signal }: Walk,
): Promise<AnchoringTransaction | undefined> {
  const served = await unlessGone(
    endpoint.call(
      `transaction ${digest}`,
      async (client, ended) => {
        const request = { digest, readMask: { paths: ['transaction.bcs', 'signatures'] } };
        return (await client.ledgerService.getTransaction(request, { abort: ended })).response.transaction;
      },
      signal,
    ),
  );
  const bytes = served?.transaction?.bcs?.value;
  if (!bytes) return undefined;
  const transaction = readable(bytes, owner);
  if (transaction?.sender !== wallet || !(await isSignedBy(wallet, bytes, served.signatures)))
    return undefined;
  return transaction;
}

function readable(bytes: Uint8Array, owner: AnchorOwner): AnchoringTransaction | undefined {
  try {
    return readAnchoring(bytes, owner);
  } catch {
    // A kind of transaction that this version does not know, or bytes that are none.
    return undefined;
  }
}

async function isSignedBy(
  address: string,
  bytes: Uint8Array,
  signatures: readonly GrpcTypes.UserSignature[],
): Promise<boolean> {
  for (const { bcs } of signatures) {
    if (!bcs?.value) continue;
    const isGood = await verifyTransactionSignature(bytes, toBase64(bcs.value), { address }).then(
      () => true,
      () => false,
    );
    if (isGood) return true;
  }
  return false;
}

/** The transactions that wrote the coins it paid with. */
async function writesBefore(
  { gas }: AnchoringTransaction,
  { endpoint, signal }: Walk,
): Promise<readonly string[]> {
  const written = await Promise.all(
    gas.slice(0, MOST_COINS).map(({ objectId, version }) =>
      unlessGone(
        endpoint.call(
          `coin ${objectId} at version ${version}`,
          async (client, ended) => {
            const readMask = { paths: ['previous_transaction'] };
            const request = { objectId, version: BigInt(version), readMask };
            return (await client.ledgerService.getObject(request, { abort: ended })).response.object;
          },
          signal,
        ),
      ),
    ),
  );
  return written.flatMap((object) => object?.previousTransaction ?? []);
}

/** What a node has pruned it refuses by name; nothing else of the wallet is lost with it. */
async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof DaasError && error.code === 'DAAS_CHAIN_REFUSED') return undefined;
    throw error;
  }
}
