import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { expect, test } from 'vitest';
import type { Ledger } from '../../devnet/src/ledger.ts';
import {
  asInteger,
  asStruct,
  asVariant,
  asVector,
  decode,
  isDatatype,
  isSameType,
  type MoveValue,
  SUI,
  SUI_TYPE,
  substitute,
  type Type,
} from '../../devnet/src/move/index.ts';
import { createCluster, execute, openChainUnderTest, stakeForNode } from './chain.fixture.ts';

const SUI_MIST = 1_000_000_000n;
const TREASURY_MIST = 5_000_000_000_000_000_000n;

/** All SUI there is: in balances wherever they are kept, paid for storage, and collected as fees. */
function allMist(ledger: Ledger): bigint {
  let sum = ledger.collectedMist;
  for (const object of ledger.objects.all()) {
    sum += object.storageRebate;
    if (object.kind !== 'move') continue;
    sum += balancesIn(decode(object.contents, object.type, ledger.code), object.type, ledger);
  }
  return sum;
}

function balancesIn(value: MoveValue, type: Type, ledger: Ledger): bigint {
  if (type.kind === 'vector')
    return asVector(value).items.reduce((sum, item) => sum + balancesIn(item, type.element, ledger), 0n);
  if (type.kind !== 'datatype') return 0n;
  if (isDatatype(type, SUI, 'balance', 'Balance'))
    return isSameType(type.args[0] as Type, SUI_TYPE) ? asInteger(asStruct(value).fields[0]).value : 0n;
  const body = ledger.code.datatype(type.address, type.module, type.name)?.body;
  if (!body) throw new Error('a type that is defined nowhere');
  const fields = body.kind === 'struct' ? body.fields : (body.variants[asVariant(value).tag]?.fields ?? []);
  const values = body.kind === 'struct' ? asStruct(value).fields : asVariant(value).fields;
  return fields.reduce(
    (sum, field, index) =>
      sum + balancesIn(values[index] as MoveValue, substitute(field.type, type.args), ledger),
    0n,
  );
}

/** A small generator with a seed that the failure prints. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const seed = Number(process.env.K3S_DAAS_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

test(`no SUI comes into being or is lost (seed ${seed})`, { timeout: 120_000 }, async () => {
  await using chain = await openChainUnderTest();
  const { client, devnet } = chain;
  if (!devnet) return;
  const { ledger } = devnet;
  const next = random(seed);
  const check = (after: string) => {
    expect([seed, after, allMist(ledger)]).toEqual([seed, after, TREASURY_MIST]);
  };
  check('genesis');
  const packageId = await chain.packageId();
  check('publish');
  const actors = [await chain.account(SUI_MIST, SUI_MIST), await chain.account(SUI_MIST)];
  const cluster = await createCluster(client, actors[0] as Ed25519Keypair, packageId);
  check('create a cluster');

  for (let step = 0; step < 25; step++) {
    const actor = actors[next(actors.length)] as Ed25519Keypair;
    const action = next(4);
    if (action === 0) {
      await stakeForNode(
        { client, packageId, cluster },
        actor,
        `node-${step}`,
        1_000_000n + BigInt(next(1e6)),
      );
    } else if (action === 1) {
      // Many coins, some of them worth nothing, which later transactions merge and delete.
      const transaction = new Transaction();
      const amounts = Array.from({ length: 1 + next(4) }, () => BigInt(next(1_000)));
      for (const coin of transaction.splitCoins(transaction.gas, amounts))
        transaction.transferObjects([coin], actor.toSuiAddress());
      await execute(client, actor, transaction);
    } else if (action === 2) {
      const transaction = new Transaction();
      const to = actors[next(actors.length)] as Ed25519Keypair;
      transaction.transferObjects(
        [transaction.splitCoins(transaction.gas, [BigInt(next(1_000_000))])],
        to.toSuiAddress(),
      );
      await execute(client, actor, transaction);
    } else {
      await landAbort(chain, actor, packageId, cluster);
    }
    check(`step ${step}, action ${action}`);
  }
});

/** An abort that is paid for: nothing is left to resolve, so that it is not found out before it is sent. */
async function landAbort(
  { client }: Awaited<ReturnType<typeof openChainUnderTest>>,
  signer: Ed25519Keypair,
  packageId: string,
  cluster: string,
): Promise<void> {
  const { object } = await client.getObject({ objectId: cluster });
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  transaction.setGasPrice(1_000);
  transaction.setGasBudget(20_000_000);
  transaction.setGasPayment((await client.listCoins({ owner: signer.toSuiAddress() })).objects);
  transaction.moveCall({
    target: `${packageId}::staking::stake_for_node`,
    arguments: [
      transaction.sharedObjectRef({
        objectId: cluster,
        initialSharedVersion: object.owner.Shared?.initialSharedVersion ?? '',
        mutable: true,
      }),
      transaction.splitCoins(transaction.gas, [1n]),
      transaction.pure.string('too-little'),
      transaction.pure.u64(1n),
      transaction.sharedObjectRef({ objectId: '0x6', initialSharedVersion: 1, mutable: false }),
    ],
  });
  const { signature, bytes } = await signer.signTransaction(await transaction.build());
  const result = await client.executeTransaction({
    transaction: Buffer.from(bytes, 'base64'),
    signatures: [signature],
  });
  expect(result.$kind).toBe('FailedTransaction');
}
