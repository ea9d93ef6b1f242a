import { BcsReader, bcs, toBase58 } from '@mysten/bcs';
import { bcs as suiBcs } from '@mysten/sui/bcs';
import { ProofError } from './proof-error.ts';

/** A digest is a length-prefixed vector of 32 bytes. */
const Digest = bcs.byteVector().transform({
  name: 'Digest',
  input: (bytes: Uint8Array) => bytes,
  output: (bytes: Uint8Array) => {
    if (bytes.length !== 32) throw new RangeError(`a digest of ${bytes.length} bytes`);
    return toBase58(bytes);
  },
});

/** sui `messages_checkpoint.rs`, `CheckpointCommitment`. */
const CheckpointCommitment = bcs.enum('CheckpointCommitment', {
  EcmhLiveObjectSet: bcs.struct('EcmhLiveObjectSet', { digest: Digest }),
  CheckpointArtifacts: Digest,
});

const EndOfEpochData = bcs.struct('EndOfEpochData', {
  nextEpochCommittee: bcs.vector(bcs.tuple([bcs.byteVector(), bcs.u64()])),
  nextEpochProtocolVersion: bcs.u64(),
  epochCommitments: bcs.vector(CheckpointCommitment),
});

/** sui `messages_checkpoint.rs`, `CheckpointSummary`: one version, additions go into `versionSpecificData`. */
export const CheckpointSummary = bcs.struct('CheckpointSummary', {
  epoch: bcs.u64(),
  sequenceNumber: bcs.u64(),
  networkTotalTransactions: bcs.u64(),
  contentDigest: Digest,
  previousDigest: bcs.option(Digest),
  epochRollingGasCostSummary: bcs.struct('GasCostSummary', {
    computationCost: bcs.u64(),
    storageCost: bcs.u64(),
    storageRebate: bcs.u64(),
    nonRefundableStorageFee: bcs.u64(),
  }),
  timestampMs: bcs.u64(),
  checkpointCommitments: bcs.vector(CheckpointCommitment),
  endOfEpochData: bcs.option(EndOfEpochData),
  versionSpecificData: bcs.byteVector(),
});
export type CheckpointSummary = typeof CheckpointSummary.$inferType;

const ExecutionDigests = bcs.struct('ExecutionDigests', { transaction: Digest, effects: Digest });

/** V2 where address aliases are on (mainnet since protocol 116). */
const CheckpointContents = bcs.enum('CheckpointContents', {
  V1: bcs.struct('CheckpointContentsV1', {
    transactions: bcs.vector(ExecutionDigests),
    userSignatures: bcs.vector(bcs.vector(bcs.byteVector())),
  }),
  V2: bcs.struct('CheckpointContentsV2', {
    transactions: bcs.vector(
      bcs.struct('CheckpointTransactionContents', {
        digest: ExecutionDigests,
        userSignatures: bcs.vector(bcs.tuple([bcs.byteVector(), bcs.option(bcs.u64())])),
      }),
    ),
  }),
});

/** sui `crypto.rs`, `AuthorityQuorumSignInfo`; the signature is a fixed array of 48 bytes. */
export const AggregatedSignature = bcs.struct('ValidatorAggregatedSignature', {
  epoch: bcs.u64(),
  signature: bcs.bytes(48),
  bitmap: bcs.byteVector(),
});
export type AggregatedSignature = typeof AggregatedSignature.$inferType;

/** sui-types `event.rs`: the package and module that emitted it, who signed, its type and its BCS bytes. */
const TransactionEvents = bcs.vector(
  bcs.struct('Event', {
    packageId: suiBcs.Address,
    transactionModule: bcs.string(),
    sender: suiBcs.Address,
    type: suiBcs.StructTag,
    contents: bcs.byteVector(),
  }),
);

/** The largest of each kind that is read, in bytes; Sui's own protocol limits are at or below these. */
export const LIMITS = {
  summary: 256 * 1024,
  signature: 4096,
  contents: 16 * 1024 * 1024,
  effects: 1024 * 1024,
  events: 4 * 1024 * 1024,
  object: 1024 * 1024,
} as const;

export type TransactionEffects = typeof suiBcs.TransactionEffects.$inferType;
export type SuiObject = typeof suiBcs.Object.$inferType;
export type ChainEvent = (typeof TransactionEvents.$inferType)[number];
export type ExecutionDigests = typeof ExecutionDigests.$inferType;

/** Bytes that no certificate vouches for yet: what cannot be read is `malformed`. */
export function readSummary(bytes: Uint8Array): CheckpointSummary {
  return parse(CheckpointSummary, bytes, 'summary', 'malformed');
}

export function readSignature(bytes: Uint8Array): AggregatedSignature {
  return parse(AggregatedSignature, bytes, 'signature', 'malformed');
}

/** From here on the bytes have the digest that the chain certified: what cannot be read is newer than this version. */
export function readContents(bytes: Uint8Array): readonly ExecutionDigests[] {
  const contents = parse(CheckpointContents, bytes, 'contents', 'unknown-format');
  return contents.V1 ? contents.V1.transactions : contents.V2.transactions.map(({ digest }) => digest);
}

export function readEffects(bytes: Uint8Array): TransactionEffects {
  return parse(suiBcs.TransactionEffects, bytes, 'effects', 'unknown-format');
}

export function readEvents(bytes: Uint8Array): readonly ChainEvent[] {
  return parse(TransactionEvents, bytes, 'events', 'unknown-format');
}

export function readObject(bytes: Uint8Array): SuiObject {
  return parse(suiBcs.Object, bytes, 'object', 'unknown-format');
}

/** Refuses what is larger than the limit of its kind before a byte of it is hashed. */
export function assertSize(kind: keyof typeof LIMITS, bytes: Uint8Array): void {
  if (bytes.length <= LIMITS[kind]) return;
  throw new ProofError(
    'too-large',
    `the ${kind} has ${bytes.length} bytes; at most ${LIMITS[kind]} are read`,
  );
}

function parse<T>(
  type: { read(reader: BcsReader): T },
  bytes: Uint8Array,
  kind: keyof typeof LIMITS,
  reason: 'malformed' | 'unknown-format',
): T {
  assertSize(kind, bytes);
  const reader = new BcsReader(bytes);
  let value: T;
  try {
    value = type.read(reader);
  } catch (cause) {
    throw unreadable(kind, reason, cause);
  }
  const rest = bytes.length - (reader as unknown as { readonly bytePosition: number }).bytePosition;
  if (rest !== 0) throw unreadable(kind, reason, new RangeError(`${rest} bytes are left over`));
  return value;
}

function unreadable(kind: string, reason: 'malformed' | 'unknown-format', cause: unknown): ProofError {
  const sentence =
    reason === 'malformed'
      ? `the ${kind} cannot be read`
      : `the ${kind} is certified by the chain, but this version cannot read it: update k3s-daas`;
  return new ProofError(reason, sentence, { cause });
}
