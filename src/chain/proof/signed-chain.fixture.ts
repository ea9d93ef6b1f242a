import { fromBase58, toBase58 } from '@mysten/bcs';
import { bcs } from '@mysten/sui/bcs';
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { type CertifiedCheckpoint, signedMessage } from './certificate.ts';
import { type Committee, createCommittee } from './committee.ts';
import { digestOf } from './digest.ts';
import type { TransactionProof } from './transaction-proof.ts';
import { AggregatedSignature, CheckpointSummary } from './wire.ts';

const { shortSignatures } = bls12_381;

/** Validators whose keys a test holds. */
export interface SigningCommittee extends Committee {
  readonly secretKeys: readonly Uint8Array[];
}

/** Deterministic keys; voting powers as given, in the order of the keys. */
export function signingCommittee(epoch: bigint, powers: readonly bigint[], seed = 1): SigningCommittee {
  const pairs = powers
    .map((_, index) => {
      const secretKey = new Uint8Array(32).fill(seed);
      secretKey[31] = index + 1;
      return { secretKey, publicKey: shortSignatures.getPublicKey(secretKey).toBytes() };
    })
    .sort((a, b) => Buffer.compare(a.publicKey, b.publicKey));
  const members = pairs.map(({ publicKey }, index) => ({ publicKey, votingPower: powers[index] ?? 0n }));
  return { ...createCommittee(epoch, members), secretKeys: pairs.map(({ secretKey }) => secretKey) };
}

export interface CheckpointFields {
  readonly height?: bigint;
  readonly contents?: Uint8Array;
  readonly next?: Committee;
  readonly signers?: readonly number[];
  readonly timestampMs?: bigint;
}

/** A checkpoint of this committee, signed by all of it or by the members named. */
export function signedCheckpoint(
  committee: SigningCommittee,
  fields: CheckpointFields = {},
): CertifiedCheckpoint {
  const signers = fields.signers ?? committee.members.map((_, index) => index);
  const summary = CheckpointSummary.serialize({
    epoch: committee.epoch,
    sequenceNumber: fields.height ?? committee.epoch * 10n,
    networkTotalTransactions: 1n,
    contentDigest: digestBytes(digestOf('CheckpointContents', fields.contents ?? new Uint8Array())),
    previousDigest: null,
    epochRollingGasCostSummary: {
      computationCost: 0n,
      storageCost: 0n,
      storageRebate: 0n,
      nonRefundableStorageFee: 0n,
    },
    timestampMs: fields.timestampMs ?? 1_700_000_000_000n,
    checkpointCommitments: [],
    endOfEpochData: fields.next
      ? {
          nextEpochCommittee: fields.next.members.map(({ publicKey, votingPower }) => [
            publicKey,
            votingPower,
          ]),
          nextEpochProtocolVersion: 130n,
          epochCommitments: [],
        }
      : null,
    versionSpecificData: [],
  }).toBytes();
  return { summary, signature: certificate(committee, summary, signers) };
}

export function certificate(
  committee: SigningCommittee,
  summary: Uint8Array,
  signers: readonly number[],
): Uint8Array {
  const message = shortSignatures.hash(signedMessage(committee.epoch, summary));
  const signatures = signers.map((index) =>
    shortSignatures.sign(message, committee.secretKeys[index] ?? new Uint8Array()),
  );
  const signature = shortSignatures.Signature.toBytes(shortSignatures.aggregateSignatures(signatures));
  return AggregatedSignature.serialize({
    epoch: committee.epoch,
    signature,
    bitmap: bitmap(signers),
  }).toBytes();
}

/** One array container, as validators write it. */
export function bitmap(indexes: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(16 + 2 * indexes.length));
  view.setUint32(0, 12_346, true);
  view.setUint32(4, 1, true);
  view.setUint16(10, indexes.length - 1, true);
  view.setUint32(12, 16, true);
  for (const [at, index] of indexes.entries()) view.setUint16(16 + 2 * at, index, true);
  return new Uint8Array(view.buffer);
}

/** One transaction that wrote one object, proven by this committee. */
export function signedWrite(
  committee: SigningCommittee,
  options: { failed?: boolean } = {},
): TransactionProof {
  const transaction = toBase58(new Uint8Array(32).fill(7));
  const object = objectBytes(5n, transaction);
  const effects = effectsBytes(transaction, digestOf('Object', object), options.failed ?? false);
  const contents = contentsBytes(transaction, digestOf('TransactionEffects', effects));
  return { ...signedCheckpoint(committee, { contents }), contents, transaction, effects, objects: [object] };
}

export const OBJECT_ID = `0x${'ab'.repeat(32)}`;

function objectBytes(version: bigint, previousTransaction: string): Uint8Array {
  return bcs.Object.serialize({
    data: {
      Move: {
        type: { Other: { address: '0x9', module: 'staking', name: 'StakeRecord', typeParams: [] } },
        hasPublicTransfer: false,
        version,
        contents: new Uint8Array(40).fill(0xab),
      },
    },
    owner: { Shared: { initialSharedVersion: 1n } },
    previousTransaction,
    storageRebate: 0n,
  }).toBytes();
}

function effectsBytes(transaction: string, objectDigest: string, failed: boolean): Uint8Array {
  return bcs.TransactionEffects.serialize({
    V2: {
      status: failed ? { Failure: { error: { InsufficientGas: true }, command: null } } : { Success: true },
      executedEpoch: 0n,
      gasUsed: { computationCost: 0n, storageCost: 0n, storageRebate: 0n, nonRefundableStorageFee: 0n },
      transactionDigest: transaction,
      gasObjectIndex: null,
      eventsDigest: null,
      dependencies: [],
      lamportVersion: 5n,
      changedObjects: [
        [
          OBJECT_ID,
          {
            inputState: { NotExist: true },
            outputState: { ObjectWrite: [objectDigest, { Shared: { initialSharedVersion: 1n } }] },
            idOperation: { Created: true },
          },
        ],
      ],
      unchangedConsensusObjects: [],
      auxDataDigest: null,
    },
  }).toBytes();
}

/** V1 with one transaction and no signatures of users. */
function contentsBytes(transaction: string, effects: string): Uint8Array {
  const digests = [...digestBytes(transaction), ...digestBytes(effects)];
  return Uint8Array.of(0, 1, 32, ...digests.slice(0, 32), 32, ...digests.slice(32), 1, 0);
}

function digestBytes(text: string): Uint8Array {
  return Uint8Array.from(fromBase58(text));
}
