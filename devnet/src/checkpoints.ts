import { bcs } from '@mysten/sui/bcs';
import { digestOf } from './digest.ts';
import type { GasCost } from './gas.ts';
import type { ExecutedTransaction } from './ledger.ts';

export interface Checkpoint {
  readonly sequenceNumber: bigint;
  readonly digest: string;
  readonly epoch: bigint;
  readonly timestampMs: number;
  readonly previousDigest: string | undefined;
  readonly networkTotalTransactions: bigint;
  readonly epochCost: GasCost;
  readonly contentDigest: string;
  readonly contentBytes: Uint8Array;
  readonly summaryBytes: Uint8Array;
  /** System transactions first; this chain knows nothing of theirs but the digests. */
  readonly contents: ReadonlyArray<{ readonly digest: string; readonly effectsDigest: string }>;
  /** The one transaction of a user that is in it, if any. */
  readonly transaction: ExecutedTransaction | undefined;
  /** Set in the last checkpoint of an epoch. */
  readonly endOfEpoch: EndOfEpoch | undefined;
}

/** What the last checkpoint of an epoch says of the next one. */
export interface EndOfEpoch {
  readonly nextCommittee: ReadonlyArray<{ readonly publicKey: Uint8Array; readonly votingPower: bigint }>;
  readonly nextProtocolVersion: bigint;
}

const GasCostSummary = bcs.struct('GasCostSummary', {
  computationCost: bcs.u64(),
  storageCost: bcs.u64(),
  storageRebate: bcs.u64(),
  nonRefundableStorageFee: bcs.u64(),
});

/** This chain commits to nothing beyond the contents: lists of these are empty here. */
const CheckpointCommitment = bcs.enum('CheckpointCommitment', {
  EcmhLiveObjectSet: bcs.struct('EcmhLiveObjectSet', { digest: bcs.ObjectDigest }),
  CheckpointArtifacts: bcs.ObjectDigest,
});

const CheckpointSummary = bcs.struct('CheckpointSummary', {
  epoch: bcs.u64(),
  sequenceNumber: bcs.u64(),
  networkTotalTransactions: bcs.u64(),
  contentDigest: bcs.ObjectDigest,
  previousDigest: bcs.option(bcs.ObjectDigest),
  epochRollingGasCostSummary: GasCostSummary,
  timestampMs: bcs.u64(),
  checkpointCommitments: bcs.vector(CheckpointCommitment),
  endOfEpochData: bcs.option(
    bcs.struct('EndOfEpochData', {
      nextEpochCommittee: bcs.vector(bcs.tuple([bcs.byteVector(), bcs.u64()])),
      nextEpochProtocolVersion: bcs.u64(),
      epochCommitments: bcs.vector(CheckpointCommitment),
    }),
  ),
  versionSpecificData: bcs.vector(bcs.u8()),
});

const ExecutionDigests = bcs.struct('ExecutionDigests', {
  transaction: bcs.ObjectDigest,
  effects: bcs.ObjectDigest,
});
const CheckpointContents = bcs.enum('CheckpointContents', {
  V1: bcs.struct('CheckpointContentsV1', {
    transactions: bcs.vector(ExecutionDigests),
    userSignatures: bcs.vector(bcs.vector(bcs.byteVector())),
  }),
});

/** Puts the digests into a checkpoint's BCS. Validators sign it when a client asks for the signature. */
export function sealCheckpoint(parts: {
  epoch: bigint;
  sequenceNumber: bigint;
  networkTotalTransactions: bigint;
  previousDigest: string | undefined;
  epochCost: GasCost;
  timestampMs: number;
  contents: Checkpoint['contents'];
  transaction: ExecutedTransaction | undefined;
  endOfEpoch: EndOfEpoch | undefined;
}): Checkpoint {
  const contentBytes = CheckpointContents.serialize({
    V1: {
      transactions: parts.contents.map(({ digest, effectsDigest }) => ({
        transaction: digest,
        effects: effectsDigest,
      })),
      userSignatures: parts.contents.map(({ digest }) =>
        digest === parts.transaction?.digest ? [...parts.transaction.signatures] : [],
      ),
    },
  }).toBytes();
  const contentDigest = digestOf('CheckpointContents', contentBytes);
  const summaryBytes = CheckpointSummary.serialize({
    epoch: parts.epoch,
    sequenceNumber: parts.sequenceNumber,
    networkTotalTransactions: parts.networkTotalTransactions,
    contentDigest,
    previousDigest: parts.previousDigest ?? null,
    epochRollingGasCostSummary: parts.epochCost,
    timestampMs: parts.timestampMs,
    checkpointCommitments: [],
    endOfEpochData: parts.endOfEpoch
      ? {
          nextEpochCommittee: parts.endOfEpoch.nextCommittee.map(({ publicKey, votingPower }) => [
            publicKey,
            votingPower,
          ]),
          nextEpochProtocolVersion: parts.endOfEpoch.nextProtocolVersion,
          epochCommitments: [],
        }
      : null,
    versionSpecificData: [],
  }).toBytes();
  return {
    ...parts,
    contentDigest,
    contentBytes,
    summaryBytes,
    digest: digestOf('CheckpointSummary', summaryBytes),
  };
}
