import { bcs } from '@mysten/sui/bcs';
import { Transaction } from '@mysten/sui/transactions';
import { deriveDynamicFieldID, normalizeSuiAddress } from '@mysten/sui/utils';
import { describe, expect, test } from 'vitest';
import { execute, newParameters, stakeForNode } from './chain.fixture.ts';
import {
  chain,
  client,
  cluster,
  clusterRef,
  coinsOf,
  explicit,
  mint,
  NOBODY,
  owner,
  PRICE,
  packageId,
  pay,
  referencePrice,
  SUI,
  send,
  simplePayment,
  tableId,
} from './chain-calls.fixture.ts';

/** What transactions do to a Sui chain: aborts, gas, versions, objects, as measured on a real executor. */
describe('aborts', () => {
  const badNodeId = async (transaction: Transaction) => {
    transaction.moveCall({
      target: `${packageId}::staking::stake_for_node`,
      arguments: [
        await clusterRef(transaction),
        transaction.splitCoins(transaction.gas, [1_000_000n]),
        transaction.pure.string('Not A Label'),
        transaction.pure.u64(1n),
        transaction.sharedObjectRef({ objectId: '0x6', initialSharedVersion: 1, mutable: false }),
      ],
    });
  };

  test('a landed abort is OK on the wire: failed, charged, versions up, no events, a named error', async () => {
    const signer = await chain.account(SUI);
    const before = (await client.getObject({ objectId: cluster })).object.version;
    const transaction = await explicit(signer, () => undefined);
    await badNodeId(transaction);
    const result = await send(signer, await transaction.build());
    expect(result.$kind).toBe('FailedTransaction');
    const failed = result.FailedTransaction;
    expect(failed?.status.error).toMatchObject({
      $kind: 'MoveAbort',
      command: 1,
      MoveAbort: {
        location: { package: packageId, module: 'cluster', functionName: 'claim_node_id' },
        cleverError: { constantName: 'EInvalidNodeId', value: expect.stringMatching(/node id/i) },
      },
    });
    expect(failed?.events).toEqual([]);
    expect(BigInt(failed?.effects?.gasUsed.computationCost ?? 0)).toBeGreaterThan(0n);
    const touched = failed?.effects?.changedObjects.find(({ objectId }) => objectId === cluster);
    expect(touched).toMatchObject({ inputVersion: before, outputState: 'ObjectWrite', idOperation: 'None' });
    expect(BigInt(touched?.outputVersion ?? 0)).toBeGreaterThan(BigInt(before));
    const [coin] = await coinsOf(signer.toSuiAddress());
    expect(BigInt(coin?.balance ?? 0)).toBeLessThan(SUI);
  });

  test('with anything left to resolve the client simulates first, and nothing lands', async () => {
    const signer = await chain.account(SUI);
    const transaction = new Transaction();
    await badNodeId(transaction);
    const error = await client.signAndExecuteTransaction({ transaction, signer }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      executionError: { $kind: 'MoveAbort', MoveAbort: { cleverError: { constantName: 'EInvalidNodeId' } } },
    });
    expect((await coinsOf(signer.toSuiAddress()))[0]?.balance).toBe(String(SUI));
  });

  test('running out of gas is a failure that the client knows no kind of', async () => {
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => {
      open.setGasBudget(2_500_000n);
      newParametersAndCluster(open, signer.toSuiAddress());
    });
    const result = await send(signer, await transaction.build());
    expect(result.FailedTransaction?.status.error?.$kind).toBe('Unknown');
    expect(result.FailedTransaction?.status.error?.message).toMatch(/insufficient ?gas/i);
  });

  const newParametersAndCluster = (transaction: Transaction, address: string) => {
    const parameters = newParameters(transaction, packageId, address);
    const made = transaction.moveCall({
      target: `${packageId}::cluster::create_cluster`,
      arguments: [parameters],
    });
    transaction.moveCall({ target: `${packageId}::cluster::share`, arguments: [made] });
  };

  test('a token that has only key cannot be transferred', async () => {
    const signer = await chain.account(SUI);
    const record = await stakeForNode({ client, packageId, cluster }, signer, 'keeps-its-token');
    const token = await mint(signer, record);
    const transaction = new Transaction();
    transaction.transferObjects([transaction.object(token)], NOBODY);
    const error = await client.signAndExecuteTransaction({ transaction, signer }).then(
      () => undefined,
      (reason: Error) => reason.message,
    );
    expect(error).toMatch(/InvalidTransferObject|Invalid Transfer Object/);
  });
});

describe('gas', () => {
  test('selection takes all coins and merges them, so that the others are deleted', async () => {
    const signer = await chain.account(SUI / 10n, SUI / 10n, SUI / 10n);
    const { effects } = await execute(client, signer, simplePayment());
    const deleted = effects.changedObjects.filter(({ idOperation }) => idOperation === 'Deleted');
    expect(deleted).toHaveLength(2);
    expect(deleted.every(({ outputState }) => outputState === 'DoesNotExist')).toBe(true);
    expect(await coinsOf(signer.toSuiAddress())).toHaveLength(1);
  });

  test('a transaction of nothing but a split of the gas coin fails its simulation by a missing value', async () => {
    const signer = await chain.account(SUI);
    const transaction = new Transaction();
    transaction.setSender(signer.toSuiAddress());
    transaction.splitCoins(transaction.gas, [1n]);
    await expect(transaction.build({ client })).rejects.toThrow(/ArgumentWithoutValue/i);
  });

  test('an account without coins is told what it lacks', async () => {
    const signer = await chain.account();
    const transaction = simplePayment();
    transaction.setSender(signer.toSuiAddress());
    await expect(transaction.build({ client })).rejects.toThrow(/insufficient SUI/i);
  });

  test('the gas coin loses what the effects say', async () => {
    const signer = await chain.account(SUI);
    const { effects, balanceChanges } = await execute(client, signer, simplePayment(7n));
    const { computationCost, storageCost, storageRebate } = effects.gasUsed;
    const left = SUI - 7n - BigInt(computationCost) - BigInt(storageCost) + BigInt(storageRebate);
    expect((await coinsOf(signer.toSuiAddress()))[0]?.balance).toBe(String(left));
    expect(balanceChanges.find(({ address }) => address === signer.toSuiAddress())?.amount).toBe(
      String(left - SUI),
    );
  });

  test('computation costs a multiple of the price', async () => {
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => pay(open, NOBODY));
    transaction.setGasPrice((await referencePrice()) * 2n);
    const { Transaction: done } = await send(signer, await transaction.build());
    expect(BigInt(done?.effects?.gasUsed.computationCost ?? 1) % (PRICE * 2n)).toBe(0n);
  });
});

describe('versions', () => {
  test('are one more than the greatest of the inputs, those that are only read included', async () => {
    const signer = await chain.account(SUI);
    const transaction = await explicit(signer, (open) => {
      open.moveCall({ target: '0x2::clock::timestamp_ms', arguments: [open.object.clock()] });
    });
    const [coin] = await coinsOf(signer.toSuiAddress());
    const { Transaction: done } = await send(signer, await transaction.build());
    const [clock] = done?.effects?.unchangedConsensusObjects ?? [];
    expect(clock).toMatchObject({ kind: 'ReadOnlyRoot', objectId: normalizeSuiAddress('0x6') });
    const inputs = [BigInt(coin?.version ?? 0), BigInt(clock?.version ?? 0)];
    const greatest = inputs.reduce((left, right) => (left > right ? left : right));
    expect(done?.effects?.lamportVersion).toBe(String(greatest + 1n));
    expect(done?.effects?.gasObject?.outputVersion).toBe(String(greatest + 1n));
  });

  test('a new package has version 1 and shows its bytecode under its own id', async () => {
    const { object } = await client.getObject({ objectId: packageId });
    expect([object.version, object.type, object.owner.$kind]).toEqual(['1', 'package', 'Immutable']);
    const { package: published } = await client.movePackageService.getPackage({ packageId }).response;
    expect(published?.modules.map(({ name }) => name)).toEqual([
      'attestation',
      'cluster',
      'k8s_gateway',
      'slashing',
      'staking',
    ]);
    for (const { contents } of published?.modules ?? [])
      expect(Buffer.from(contents ?? []).includes(Buffer.from(packageId.slice(2), 'hex'))).toBe(true);
  });

  test('an earlier version of an object can still be read', async () => {
    const signer = await chain.account(SUI);
    const [before] = await coinsOf(signer.toSuiAddress());
    await execute(client, signer, simplePayment());
    const { object } = await client.ledgerService.getObject({
      objectId: before?.objectId ?? '',
      version: BigInt(before?.version ?? 0),
    }).response;
    expect(object?.digest).toBe(before?.digest);
  });
});

describe('objects', () => {
  test('digests, effects and ids are what their BCS says', async () => {
    const signer = await chain.account(SUI);
    const bytes = await (await explicit(signer, (transaction) => pay(transaction, NOBODY))).build();
    const { Transaction: done } = await send(signer, bytes);
    const effects = bcs.TransactionEffects.parse(done?.effects?.bcs ?? new Uint8Array());
    expect(effects.V2?.transactionDigest).toBe(done?.digest);
    expect(effects.V2?.lamportVersion).toBe(done?.effects?.lamportVersion);
    expect(effects.V2?.changedObjects.map(([id]) => id)).toEqual(
      done?.effects?.changedObjects.map(({ objectId }) => objectId),
    );
    const [coin] = await coinsOf(signer.toSuiAddress());
    const { object } = await client.getObject({
      objectId: coin?.objectId ?? '',
      include: { objectBcs: true, content: true, previousTransaction: true },
    });
    const parsed = bcs.Object.parse(object.objectBcs ?? new Uint8Array());
    expect(parsed.data.Move?.version).toBe(object.version);
    expect(Uint8Array.from(parsed.data.Move?.contents ?? [])).toEqual(Uint8Array.from(object.content ?? []));
    expect(object.previousTransaction).toBe(done?.digest);
  });

  test('JSON has u64 and Balance as text, ids as hex, options as value or null', async () => {
    const { object } = await client.getObject({ objectId: cluster, include: { json: true } });
    expect(object.json).toMatchObject({
      id: cluster,
      admin: owner.toSuiAddress(),
      offered_admin: null,
      parameters: { minimum_stake_mist: '1000000', tiers: expect.any(Array) },
    });
    const record = await stakeForNode({ client, packageId, cluster }, owner, 'as-json', 1_500_000n);
    const stake = await client.getObject({ objectId: record, include: { json: true } });
    expect(stake.object.json).toMatchObject({ balance: '1500000', node_id: 'as-json', token: null });
  });

  test('a table’s entry is a dynamic field at a derived id', async () => {
    const record = await stakeForNode({ client, packageId, cluster }, owner, 'in-the-table');
    const parentId = await tableId();
    const name = bcs.string().serialize('in-the-table').toBytes();
    const { dynamicField } = await client.getDynamicField({
      parentId,
      name: { type: '0x1::string::String', bcs: name },
    });
    expect(dynamicField.fieldId).toBe(deriveDynamicFieldID(parentId, '0x1::string::String', name));
    expect(bcs.Address.parse(dynamicField.value.bcs)).toBe(record);
    const { dynamicFields } = await client.listDynamicFields({ parentId, limit: 1000 });
    expect(dynamicFields.map(({ fieldId }) => fieldId)).toContain(dynamicField.fieldId);
  });

  test('owned objects come in pages that miss and repeat nothing', async () => {
    const signer = await chain.account(...Array.from({ length: 5 }, () => 1_000_000n));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof client.listOwnedObjects>> = await client.listOwnedObjects({
        owner: signer.toSuiAddress(),
        limit: 2,
        cursor,
      });
      seen.push(...page.objects.map(({ objectId }) => objectId));
      cursor = page.hasNextPage ? page.cursor : null;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
  });
});
