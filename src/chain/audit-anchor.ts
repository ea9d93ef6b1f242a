import { randomBytes } from 'node:crypto';
import { bcs } from '@mysten/sui/bcs';
import { TransactionDataBuilder } from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import type { AuditAnchor, AuditHead } from '#domain';

/** Whose audit file a statement is about. */
export interface AnchorOwner {
  readonly clusterId: string;
  readonly gatewayId: string;
}

/** A reader passes over statements with another tag: those of a later version too. */
const TAG = 'k3s-daas/audit-head/v1';
const Statement = bcs.struct('AuditHead', {
  tag: bcs.string(),
  cluster: bcs.Address,
  gateway: bcs.string(),
  sequence: bcs.u64(),
  hash: bcs.fixedArray(32, bcs.u8()),
  atMs: bcs.u64(),
  /** Makes each probe another transaction, as in a probe without a statement. */
  nonce: bcs.fixedArray(16, bcs.u8()),
});
/** No `Date` is later. */
const LATEST_MS = 8.64e15;
const Bytes = bcs.vector(bcs.u8());

/** What a probe carries as its pure `vector<u8>`. */
export function anchorStatement(
  { clusterId, gatewayId }: AnchorOwner,
  { sequence, hash, atMs }: AuditHead,
  nonce: Uint8Array = randomBytes(16),
): Uint8Array {
  return Statement.serialize({
    tag: TAG,
    cluster: clusterId,
    gateway: gatewayId,
    sequence,
    hash: [...Buffer.from(hash, 'hex')],
    atMs,
    nonce: [...nonce],
  }).toBytes();
}

/** `undefined`: it is none, or one about another gateway or cluster. */
export function readStatement(
  bytes: Uint8Array,
  { clusterId, gatewayId }: AnchorOwner,
): AuditHead | undefined {
  const said = parsed(bytes);
  if (said?.tag !== TAG || said.gateway !== gatewayId) return undefined;
  if (said.cluster !== normalizeSuiAddress(clusterId)) return undefined;
  const [sequence, atMs] = [Number(said.sequence), Number(said.atMs)];
  if (!Number.isSafeInteger(sequence) || atMs > LATEST_MS) return undefined;
  return { sequence, hash: Buffer.from(said.hash).toString('hex'), atMs };
}

/** `undefined` also for bytes behind the statement: they would be a place to hide something in. */
function parsed(bytes: Uint8Array) {
  try {
    const said = Statement.parse(bytes);
    return Buffer.from(Statement.serialize(said).toBytes()).equals(bytes) ? said : undefined;
  } catch {
    return undefined;
  }
}

/** A transaction as far as anchors are concerned. */
export interface AnchoringTransaction {
  readonly sender: string;
  /** The coins that paid, as they were before it. */
  readonly gas: ReadonlyArray<{ readonly objectId: string; readonly version: string }>;
  readonly anchor: AuditAnchor | undefined;
}

/** @throws whatever is said of bytes that are no transaction. */
export function readAnchoring(transaction: Uint8Array, owner: AnchorOwner): AnchoringTransaction {
  const { sender, gasData, inputs } = TransactionDataBuilder.fromBytes(transaction).snapshot();
  const digest = TransactionDataBuilder.getDigestFromBytes(transaction);
  const [head] = inputs.flatMap(({ Pure: pure }) => {
    const bytes = pure && vectorOf(Buffer.from(pure.bytes, 'base64'));
    return (bytes && readStatement(bytes, owner)) ?? [];
  });
  return {
    sender: normalizeSuiAddress(sender ?? ''),
    gas: (gasData.payment ?? []).map(({ objectId, version }) => ({ objectId, version: String(version) })),
    anchor: head && { ...head, digest },
  };
}

function vectorOf(pure: Uint8Array): Uint8Array | undefined {
  try {
    return Uint8Array.from(Bytes.parse(pure));
  } catch {
    return undefined;
  }
}
