import type { SuiGrpcClient } from '@mysten/sui/grpc';
import type { CertifiedCheckpoint } from './certificate.ts';
import type { Nodes } from './collect.ts';
import { digestOf } from './digest.ts';
import { OBJECT_ID, signedCheckpoint, signedWrite, signingCommittee } from './signed-chain.fixture.ts';
import type { TransactionProof } from './transaction-proof.ts';
import { AggregatedSignature } from './wire.ts';

/** What one node serves of a chain with two epochs and one object. */
interface ServedChain {
  /** The last checkpoint of epoch 2, which names the committee of the object's epoch. */
  readonly lastOfEpoch: CertifiedCheckpoint;
  readonly write: TransactionProof;
}

const committee = signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n]);
const before = signingCommittee(2n, [10_000n], 98);
const pinned = signedCheckpoint(signingCommittee(1n, [10_000n], 99), { next: before });

export const honestChain: ServedChain = {
  lastOfEpoch: signedCheckpoint(before, { next: committee, height: 20n }),
  write: signedWrite(committee),
};
/** As the honest one, and the checkpoint of the object is signed by nobody who counts. */
export const forgedWrite: ServedChain = {
  ...honestChain,
  write: signedWrite(signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n], 2)),
};
/** As the honest one, and the step to the object's committee is forged. */
export const forgedStep: ServedChain = {
  ...honestChain,
  lastOfEpoch: signedCheckpoint(signingCommittee(2n, [10_000n], 97), { next: committee, height: 20n }),
};

export const servedPin = { epoch: 1, checkpoint: digestOf('CheckpointSummary', pinned.summary) };

/** The object as a full node names it. */
export const servedObject = {
  id: OBJECT_ID,
  version: 5n,
  digest: digestOf('Object', honestChain.write.objects[0] as Uint8Array),
};

/** The calls of a full node that serves this chain. */
export function servedBy(chainOf: () => ServedChain | undefined): Nodes['read'] {
  return (_what, body, signal = new AbortController().signal) =>
    body({ ledgerService: ledgerOf(chainOf()) } as unknown as SuiGrpcClient, signal);
}

/** Without a chain every reply is empty, as that of a node that has pruned it. */
function ledgerOf(chain: ServedChain | undefined) {
  const reply = (response: unknown) => Promise.resolve({ response });
  const write = chain?.write;
  return {
    getObject: () => reply({ object: write && { bcs: { value: write.objects[0] } } }),
    getTransaction: () =>
      reply({ transaction: write && { checkpoint: 30n, effects: { bcs: { value: write.effects } } } }),
    getEpoch: ({ epoch }: { readonly epoch: bigint }) =>
      reply({ epoch: chain && { lastCheckpoint: epoch * 10n } }),
    getCheckpoint: ({ checkpointId }: { readonly checkpointId: { readonly sequenceNumber: bigint } }) =>
      reply({ checkpoint: chain && checkpointOf(chain, checkpointId.sequenceNumber) }),
  };
}

function checkpointOf({ lastOfEpoch, write }: ServedChain, height: bigint) {
  const [certified, contents] =
    height === 10n
      ? [pinned, undefined]
      : height === 20n
        ? [lastOfEpoch, undefined]
        : [write, write.contents];
  const { epoch, signature, bitmap } = AggregatedSignature.parse(certified.signature);
  return {
    summary: { bcs: { value: certified.summary } },
    signature: { epoch: BigInt(epoch), signature, bitmap: Uint8Array.from(bitmap) },
    contents: contents && { bcs: { value: contents } },
  };
}
