import { DaasError } from '#base';
import {
  committeePin,
  currentPin,
  type Nodes,
  pinOfEpoch,
  readObjectBytes,
  readTransaction,
} from './collect.ts';
import { ProofError } from './proof-error.ts';
import type { TrustAnchors, TrustPin } from './trust-pin.ts';
import { readObject, readSummary } from './wire.ts';

/**
 * Pins on the word of the nodes that are asked: one as old as the cluster object, so that everything about it can be
 * proven, and the newest. Where a node has pruned the beginning of the cluster, the first pin is as old as the node can show.
 */
export async function anchorsOnFirstUse(
  nodes: Nodes,
  clusterId: string,
  signal?: AbortSignal,
): Promise<TrustAnchors> {
  const newest = await currentPin(nodes, signal);
  if ('committee' in newest) return { trust: newest };
  const epoch = await epochOfCreation(nodes, clusterId, signal);
  if (epoch === undefined) return { trust: newest, recentTrust: newest };
  const trust: TrustPin =
    epoch === 0n ? await committeePin(nodes, signal) : await pinOfEpoch(nodes, epoch - 1n, signal);
  return { trust, recentTrust: newest };
}

/**
 * The newest pin that all of these nodes confirm. One that lags an epoch behind the others decides which epoch it is.
 * Throws `DAAS_TRUST_PIN_DISPUTED`.
 */
export async function agreedPin(nodes: readonly Nodes[], signal?: AbortSignal): Promise<TrustPin> {
  const pins = await Promise.all(nodes.map((node) => currentPin(node, signal)));
  const oldest = pins.reduce((left, right) => (epochOf(left) <= epochOf(right) ? left : right));
  const same = await Promise.all(
    nodes.map((node) =>
      'committee' in oldest ? committeePin(node, signal) : pinOfEpoch(node, BigInt(oldest.epoch), signal),
    ),
  );
  const digests = new Set(same.map((pin) => ('committee' in pin ? pin.committee : pin.checkpoint)));
  if (digests.size === 1) return oldest;
  throw new DaasError(
    'DAAS_TRUST_PIN_DISPUTED',
    `the full nodes do not agree on the trust pin: ${[...digests].join(', ')}. Nothing was written: compare with another source, and remove the endpoint that is wrong`,
    { details: { digests: [...digests] } },
  );
}

const epochOf = (pin: TrustPin) => ('committee' in pin ? -1 : pin.epoch);

/** The epoch in which a shared object was made, or else that of its last change; `undefined` when both are pruned. */
async function epochOfCreation(
  nodes: Nodes,
  objectId: string,
  signal?: AbortSignal,
): Promise<bigint | undefined> {
  const now = await readObjectBytes(nodes, objectId, undefined, signal);
  const { owner } = readObject(now);
  const first = owner.Shared ? BigInt(owner.Shared.initialSharedVersion) : undefined;
  for (const version of [first, undefined]) {
    try {
      const bytes = version === undefined ? now : await readObjectBytes(nodes, objectId, version, signal);
      const { summary } = await readTransaction(
        nodes,
        readObject(bytes).previousTransaction,
        [bytes],
        signal,
      );
      return BigInt(readSummary(summary).epoch);
    } catch (error) {
      if (!isPruned(error)) throw error;
    }
  }
  return undefined;
}

function isPruned(error: unknown): boolean {
  return (
    (error instanceof ProofError && error.reason === 'incomplete') ||
    (error instanceof DaasError && error.code === 'DAAS_CHAIN_REFUSED')
  );
}
