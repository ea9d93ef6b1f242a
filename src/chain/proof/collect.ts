import type { GrpcTypes, SuiGrpcClient } from '@mysten/sui/grpc';
import type { CertifiedCheckpoint } from './certificate.ts';
import { createCommittee } from './committee.ts';
import { digestOf } from './digest.ts';
import { ProofError } from './proof-error.ts';
import type { ProofDocument } from './proof-file.ts';
import type { TransactionProof } from './transaction-proof.ts';
import { encodeCommittee } from './trust.ts';
import type { EpochPin, TrustPin } from './trust-pin.ts';
import { AggregatedSignature, readObject, readSummary } from './wire.ts';

/** Full nodes that are asked for bytes; nothing they bring is believed. */
export interface Nodes {
  read<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
}

/** A pin to the newest committee, on the word of the node that is asked: people compare it with another source. */
export async function currentPin(nodes: Nodes, signal?: AbortSignal): Promise<TrustPin> {
  const current = await readEpoch(nodes, undefined, signal);
  const epoch = current.epoch ?? 0n;
  return epoch === 0n
    ? { committee: encodeCommittee(committeeOf(current)).digest }
    : pinOfEpoch(nodes, epoch - 1n, signal);
}

/** A pin to the last checkpoint of an epoch, which has ended. */
export async function pinOfEpoch(nodes: Nodes, epoch: bigint, signal?: AbortSignal): Promise<EpochPin> {
  const { summary } = await lastCheckpointOf(nodes, epoch, signal);
  return { epoch: Number(epoch), checkpoint: digestOf('CheckpointSummary', summary) };
}

/** A pin to the committee of a chain's first epoch. */
export async function committeePin(nodes: Nodes, signal?: AbortSignal): Promise<{ committee: string }> {
  const genesis = await readEpoch(nodes, 0n, signal);
  return { committee: encodeCommittee(committeeOf(genesis)).digest };
}

/**
 * Everything that proves the last write of an object, or the write at `version`. The result is not verified: that is
 * the reader's.
 */
export async function collectProof(
  nodes: Nodes,
  { objectId, version, pin, chainId }: { objectId: string; version?: bigint; pin: TrustPin; chainId: string },
  signal?: AbortSignal,
): Promise<ProofDocument> {
  const object = await readObjectBytes(nodes, objectId, version, signal);
  const digest = readObject(object).previousTransaction;
  const transaction = await readTransaction(nodes, digest, [object], signal);
  const epoch = BigInt(readSummary(transaction.summary).epoch);
  const { pinned, first } = await readPinned(nodes, pin, signal);
  const committees: CertifiedCheckpoint[] = [];
  for (let step = first; step < epoch; step += 1n)
    committees.push(await lastCheckpointOf(nodes, step, signal));
  return { chainId, pin, pinned, committees, transaction };
}

export async function readPinned(nodes: Nodes, pin: TrustPin, signal?: AbortSignal) {
  if ('committee' in pin) {
    const genesis = await readEpoch(nodes, 0n, signal);
    return { pinned: encodeCommittee(committeeOf(genesis)).bytes, first: 0n };
  }
  const { summary } = await lastCheckpointOf(nodes, BigInt(pin.epoch), signal);
  return { pinned: summary, first: BigInt(pin.epoch) + 1n };
}

export async function readObjectBytes(
  nodes: Nodes,
  objectId: string,
  version: bigint | undefined,
  signal?: AbortSignal,
) {
  const object = await nodes.read(
    `object ${objectId}`,
    async (client, abort) => {
      const request = { objectId, ...(version !== undefined && { version }), readMask: { paths: ['bcs'] } };
      return (await client.ledgerService.getObject(request, { abort })).response.object;
    },
    signal,
  );
  return present(object?.bcs?.value, `the bytes of object ${objectId}`);
}

export async function readTransaction(
  nodes: Nodes,
  digest: string,
  objects: readonly Uint8Array[],
  signal?: AbortSignal,
): Promise<TransactionProof> {
  const executed = await nodes.read(
    `transaction ${digest}`,
    async (client, abort) => {
      const request = { digest, readMask: { paths: ['checkpoint', 'effects.bcs', 'events.bcs'] } };
      return (await client.ledgerService.getTransaction(request, { abort })).response.transaction;
    },
    signal,
  );
  const height = present(executed?.checkpoint, `the checkpoint of transaction ${digest}`);
  const { contents, ...certified } = await readCheckpoint(nodes, height, true, signal);
  const events = executed?.events?.bcs?.value;
  return {
    ...certified,
    contents: present(contents, `the contents of checkpoint ${height}`),
    transaction: digest,
    effects: present(executed?.effects?.bcs?.value, `the effects of transaction ${digest}`),
    ...(events && events.length > 0 && { events }),
    objects,
  };
}

export async function lastCheckpointOf(
  nodes: Nodes,
  epoch: bigint,
  signal?: AbortSignal,
): Promise<CertifiedCheckpoint> {
  const { lastCheckpoint } = await readEpoch(nodes, epoch, signal);
  const height = present(lastCheckpoint, `the last checkpoint of epoch ${epoch}`);
  const { summary, signature } = await readCheckpoint(nodes, height, false, signal);
  return { summary, signature };
}

async function readEpoch(
  nodes: Nodes,
  epoch: bigint | undefined,
  signal?: AbortSignal,
): Promise<GrpcTypes.Epoch> {
  const answer = await nodes.read(
    epoch === undefined ? 'the current epoch' : `epoch ${epoch}`,
    async (client, abort) => {
      const paths = ['epoch', 'first_checkpoint', 'last_checkpoint', 'committee'];
      const request = { ...(epoch !== undefined && { epoch }), readMask: { paths } };
      return (await client.ledgerService.getEpoch(request, { abort })).response.epoch;
    },
    signal,
  );
  return present(answer, epoch === undefined ? 'the current epoch' : `epoch ${epoch}`);
}

async function readCheckpoint(nodes: Nodes, height: bigint, withContents: boolean, signal?: AbortSignal) {
  const checkpoint = await nodes.read(
    `checkpoint ${height}`,
    async (client, abort) => {
      const paths = ['summary.bcs', 'signature', ...(withContents ? ['contents.bcs'] : [])];
      const checkpointId = { oneofKind: 'sequenceNumber', sequenceNumber: height } as const;
      return (await client.ledgerService.getCheckpoint({ checkpointId, readMask: { paths } }, { abort }))
        .response.checkpoint;
    },
    signal,
  );
  const { epoch, signature, bitmap } = present(
    checkpoint?.signature,
    `the signature of checkpoint ${height}`,
  );
  return {
    summary: present(checkpoint?.summary?.bcs?.value, `the summary of checkpoint ${height}`),
    signature: AggregatedSignature.serialize({
      epoch: epoch ?? 0n,
      signature: present(signature, `the signature of checkpoint ${height}`),
      bitmap: present(bitmap, `the signer map of checkpoint ${height}`),
    }).toBytes(),
    contents: checkpoint?.contents?.bcs?.value,
  };
}

function committeeOf({ epoch, committee }: GrpcTypes.Epoch) {
  const members = present(committee, `the committee of epoch ${epoch}`).members.map(
    ({ publicKey, weight }) => ({
      publicKey: publicKey ?? new Uint8Array(),
      votingPower: weight ?? 0n,
    }),
  );
  return createCommittee(epoch ?? 0n, members);
}

function present<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new ProofError(
    'incomplete',
    `the node's answer lacks ${what}: it is not certified yet, or pruned there`,
  );
}
