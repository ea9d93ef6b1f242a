import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { DaasError } from '#base';
import { ChainError, chainUnavailable, type Endpoint, type Endpoints } from './endpoints/index.ts';
import { type Executed, executed, INCLUDE } from './executed-transaction.ts';
import { readEpoch, readObjects } from './object-reads.ts';
import type { SignedTransaction } from './prepare-transaction.ts';

/** `dead`: the transaction was not executed, and never will be. */
export type Delivery =
  | { readonly kind: 'landed'; readonly transaction: Executed }
  | { readonly kind: 'dead'; readonly reason: string };

/**
 * Sends signed bytes until their outcome is known. Sending is idempotent: the same bytes return the original effects.
 * Throws a retryable error (`DAAS_CHAIN_UNAVAILABLE`, `DAAS_TRANSACTION_PENDING`) when the outcome is not known within
 * `retryForMs`; the bytes can still land later.
 */
export async function deliver(
  endpoints: Endpoints,
  signed: SignedTransaction,
  { retryForMs, signal }: { readonly retryForMs: number; readonly signal?: AbortSignal | undefined },
): Promise<Delivery> {
  const delivery = await send(endpoints, signed, retryForMs, signal);
  if (delivery.kind === 'landed') await untilReadable(endpoints, signed.digest, signal);
  return delivery;
}

/** A node may return the effects of a transaction a moment before its own reads show them. */
const READABLE_AFTER_MS = 5_000;

/** Waits until reads show the transaction. Never fails, because the transaction has landed. */
async function untilReadable(endpoints: Endpoints, digest: string, signal?: AbortSignal): Promise<void> {
  const what = `transaction ${digest}`;
  await endpoints
    .withOne(
      async (endpoint) => {
        if (!(await findTransaction(endpoint, digest, signal)))
          throw chainUnavailable(what, endpoint.url, new Error('the node does not show it yet'));
      },
      signal,
      READABLE_AFTER_MS,
    )
    .catch(() => undefined);
}

function send(
  endpoints: Endpoints,
  signed: SignedTransaction,
  retryForMs: number,
  signal?: AbortSignal,
): Promise<Delivery> {
  // The same bytes to several: one that is slow, or that keeps them to itself, does not delay them.
  return endpoints.withSeveral(
    async (endpoint): Promise<Delivery> => {
      try {
        const result = await endpoint.call(
          `transaction ${signed.digest}`,
          (client, ended) =>
            client.core.executeTransaction({
              transaction: signed.bytes,
              signatures: signaturesOf(signed),
              include: INCLUDE,
              signal: ended,
            }),
          signal,
        );
        return { kind: 'landed', transaction: executed(result) };
      } catch (error) {
        if (!(error instanceof DaasError) || error.code !== 'DAAS_CHAIN_REFUSED') throw error;
        return fateOf(endpoint, signed, error, signal);
      }
    },
    ({ kind }) => kind === 'landed',
    signal,
    retryForMs,
  );
}

function signaturesOf({ signature, sponsorSignature }: SignedTransaction): string[] {
  return sponsorSignature === undefined ? [signature] : [signature, sponsorSignature];
}

/**
 * The outcome of a transaction that this node refused. The order matters: what it takes and the epoch are read first, so that a
 * transaction that used it is known by its digest when that is read.
 */
async function fateOf(
  endpoint: Endpoint,
  signed: SignedTransaction,
  refusal: DaasError,
  signal?: AbortSignal,
): Promise<Delivery> {
  const reason = await whyDead(endpoint, signed, signal);
  const transaction = await findTransaction(endpoint, signed.digest, signal);
  if (transaction) return { kind: 'landed', transaction };
  if (reason) return { kind: 'dead', reason };
  throw new ChainError(
    'DAAS_TRANSACTION_PENDING',
    `${endpoint.url} does not carry out the transaction ${signed.digest} now, and it can still land until epoch ${signed.expirationEpoch} ends: nothing else is sent for the same purpose before`,
    {
      cause: refusal,
      isRetryable: true,
      details: { digest: signed.digest, expirationEpoch: signed.expirationEpoch },
    },
  );
}

export function findTransaction(
  endpoint: Endpoint,
  digest: string,
  signal?: AbortSignal,
): Promise<Executed | undefined> {
  return endpoint.call(
    `transaction ${digest}`,
    async (client, ended) => {
      try {
        return executed(await client.core.getTransaction({ digest, include: INCLUDE, signal: ended }));
      } catch (error) {
        if ((error as { reason?: unknown }).reason === 'notFound') return undefined;
        throw error;
      }
    },
    signal,
  );
}

/** Why the transaction can never be executed, by the state of this node; `undefined` if it still can. */
export async function whyDead(
  endpoint: Endpoint,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { epoch } = await endpoint.call('the epoch', readEpoch, signal);
  if (epoch > signed.expirationEpoch)
    return `it expired with epoch ${signed.expirationEpoch}, the epoch is ${epoch}`;
  const { gas, owned = [] } = signed;
  const taken = [
    ...gas.map((reference) => ({ ...reference, what: 'its gas coin', end: 'merged away' })),
    ...owned.map((reference) => ({ ...reference, what: 'its object', end: 'taken' })),
  ];
  const coins = await endpoint.call(
    'the objects that it takes',
    async (client, ended) => {
      const latest = await readObjects(
        client,
        taken.map(({ objectId }) => objectId),
        ended,
      );
      const missing = taken.filter(({ objectId }) => !latest.has(objectId));
      return { latest, wereSeen: await seenVersions(client, missing, ended) };
    },
    signal,
  );
  for (const { objectId, version, what, end } of taken) {
    const now = coins.latest.get(objectId)?.version;
    if (now !== undefined && now > BigInt(version))
      return `${what} ${objectId} was used by another transaction`;
    // A missing object may mean that the node is behind. That it had this very version says that it is not.
    if (now === undefined && coins.wereSeen.has(objectId))
      return `${what} ${objectId} was ${end} by another transaction`;
  }
  return undefined;
}

/** The objects of which the node has this old version. */
async function seenVersions(
  client: SuiGrpcClient,
  references: ReadonlyArray<{ readonly objectId: string; readonly version: string }>,
  signal: AbortSignal,
): Promise<Set<string>> {
  if (references.length === 0) return new Set();
  const { response } = await client.ledgerService.batchGetObjects(
    {
      requests: references.map(({ objectId, version }) => ({ objectId, version: BigInt(version) })),
      readMask: { paths: ['object_id', 'version'] },
    },
    { abort: signal },
  );
  const seen = new Set<string>();
  response.objects.forEach(({ result }, index) => {
    const reference = references[index];
    if (reference && result.oneofKind === 'object' && result.object.version === BigInt(reference.version))
      seen.add(reference.objectId);
  });
  return seen;
}
