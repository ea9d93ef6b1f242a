import { Inputs, Transaction } from '@mysten/sui/transactions';
import { describe, expect, test } from 'vitest';
import { collectProof, createProver, currentPin, type Nodes, verifyProofDocument } from '#proof';
import { execute, stakeForNode } from './chain.fixture.ts';
import { client, cluster, owner, packageId } from './chain-calls.fixture.ts';

/** What the chain's validators sign is what the verifier reads: on the dev chain and on a real node alike. */
const nodes: Nodes = {
  read: (_what, body, signal = new AbortController().signal) => body(client, signal),
};

/** A checkpoint is certified a moment after it was executed. */
async function untilCertified<T>(ask: () => Promise<T>): Promise<T> {
  const endsMs = performance.now() + 60_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > endsMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

/** A shared object as a transaction names it that only reads it. */
async function readOnly(objectId: string) {
  const { object } = await client.core.getObject({ objectId });
  const initialSharedVersion = object.owner.Shared?.initialSharedVersion ?? '';
  return { object, input: Inputs.SharedObjectRef({ objectId, initialSharedVersion, mutable: false }) };
}

const nodeId = () => `proven-${Math.random().toString(36).slice(2, 10)}`;

describe('proofs', () => {
  test('a stake record follows from the committee of its epoch', async () => {
    const pin = await currentPin(nodes);
    const objectId = await stakeForNode({ client, packageId, cluster }, owner, nodeId());
    const { chainIdentifier: chainId } = await client.core.getChainIdentifier();
    const document = await untilCertified(() => collectProof(nodes, { objectId, pin, chainId }));
    const { objects, events } = verifyProofDocument(document, pin);
    expect(objects).toMatchObject([{ id: objectId }]);
    expect(events.map(({ type }) => type.name)).toEqual(['StakeCreated']);
  });

  test('a transaction that is given shared objects to read proves the version of each, used or not', async () => {
    const recordId = await stakeForNode({ client, packageId, cluster }, owner, nodeId());
    const [readCluster, readRecord] = await Promise.all([readOnly(cluster), readOnly(recordId)]);
    const transaction = new Transaction();
    transaction.pure.vector('u8', [...crypto.getRandomValues(new Uint8Array(16))]);
    const argument = transaction.object(readCluster.input);
    transaction.object(readRecord.input);
    transaction.moveCall({ target: `${packageId}::cluster::change_seq`, arguments: [argument] });
    const { digest } = await execute(client, owner, transaction);
    const trust = await currentPin(nodes);
    const prover = createProver({ nodes, anchors: { trust }, nowMs: () => Date.now() });
    const { seen } = await untilCertified(() => prover.transaction(digest));
    for (const { object } of [readCluster, readRecord])
      expect(seen.get(object.objectId)).toEqual({ version: BigInt(object.version), digest: object.digest });
    expect(seen.size).toBe(2);
  });
});
