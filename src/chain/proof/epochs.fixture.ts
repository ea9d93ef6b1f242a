import type { SuiGrpcClient } from '@mysten/sui/grpc';
import type { CertifiedCheckpoint } from './certificate.ts';
import type { Nodes } from './collect.ts';
import { digestOf } from './digest.ts';
import { signedCheckpoint, signingCommittee } from './signed-chain.fixture.ts';
import type { EpochPin } from './trust-pin.ts';
import { AggregatedSignature } from './wire.ts';

export const DAY_MS = 86_400_000;
/** The chain's time at the end of epoch 0. */
export const FIRST_END_MS = 1_700_000_000_000;

/** A chain of epochs that last a day each: what a full node serves of their last checkpoints. */
export interface EpochChain {
  readonly nodes: Nodes;
  pinOf(epoch: number): EpochPin;
  /** How many last checkpoints were asked for. */
  asked(): number;
  /** Replaces the last checkpoint of an epoch. */
  serve(epoch: number, checkpoint: CertifiedCheckpoint): void;
}

const committeeOfEpoch = (epoch: number) => signingCommittee(BigInt(epoch), [10_000n], (epoch % 60) + 1);

/** `next`: the seed of another next committee, as former validators could sign it. */
export function lastOf(epoch: number, next = committeeOfEpoch(epoch + 1)): CertifiedCheckpoint {
  return signedCheckpoint(committeeOfEpoch(epoch), {
    next,
    height: BigInt(epoch) * 10n + 10n,
    timestampMs: BigInt(FIRST_END_MS + epoch * DAY_MS),
  });
}

export function epochChain(ended: number): EpochChain {
  const checkpoints = new Map(Array.from({ length: ended }, (_, epoch) => [epoch, lastOf(epoch)]));
  let asked = 0;
  const reply = (response: unknown) => Promise.resolve({ response });
  const ledgerService = {
    getEpoch: ({ epoch }: { readonly epoch: bigint }) =>
      reply({
        epoch: { epoch, ...(checkpoints.has(Number(epoch)) && { lastCheckpoint: epoch * 10n + 10n }) },
      }),
    getCheckpoint: ({ checkpointId }: { readonly checkpointId: { readonly sequenceNumber: bigint } }) => {
      asked += 1;
      const { summary, signature: bytes } = served(checkpointId.sequenceNumber);
      const { epoch, signature, bitmap } = AggregatedSignature.parse(bytes);
      return reply({
        checkpoint: {
          summary: { bcs: { value: summary } },
          signature: { epoch: BigInt(epoch), signature, bitmap: Uint8Array.from(bitmap) },
        },
      });
    },
  };
  function served(height: bigint): CertifiedCheckpoint {
    const found = checkpoints.get(Number(height) / 10 - 1);
    if (!found) throw new Error(`the chain has no checkpoint ${height}`);
    return found;
  }
  return {
    nodes: {
      read: (_what, body, signal = new AbortController().signal) =>
        body({ ledgerService } as unknown as SuiGrpcClient, signal),
    },
    pinOf: (epoch) => ({
      epoch,
      checkpoint: digestOf('CheckpointSummary', served(BigInt(epoch) * 10n + 10n).summary),
    }),
    asked: () => asked,
    serve: (epoch, checkpoint) => void checkpoints.set(epoch, checkpoint),
  };
}
