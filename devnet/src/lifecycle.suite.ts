import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bcs } from '@mysten/sui/bcs';
import type { SuiClientTypes } from '@mysten/sui/client';
import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction, type TransactionObjectArgument } from '@mysten/sui/transactions';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ChainUnderTest, execute, idOfType, openChainUnderTest } from './chain.fixture.ts';

/** What happens to objects, by a package made for it. Runs against a real node as the chain suite does. */

const SUI = 1_000_000_000n;

const file = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');
/** Committed, since compiling it needs the real framework. */
const build = JSON.parse(file('lifecycle.build.json')) as { modules: Record<string, string> };

let chain: ChainUnderTest;
let signer: Ed25519Keypair;
let packageId: string;
let published: SuiClientTypes.Transaction<{
  effects: true;
  events: true;
  objectTypes: true;
  balanceChanges: true;
}>;

beforeAll(async () => {
  chain = await openChainUnderTest();
  signer = await chain.account(5n * SUI);
  const { modules } = build;
  const transaction = new Transaction();
  const cap = transaction.publish({ modules: Object.values(modules), dependencies: ['0x1', '0x2'] });
  transaction.transferObjects([cap], signer.toSuiAddress());
  published = await execute(chain.client, signer, transaction);
  const pack = published.effects.changedObjects.find(({ outputState }) => outputState === 'PackageWrite');
  packageId = pack?.objectId ?? '';
}, 120_000);
afterAll(async () => {
  await chain?.[Symbol.asyncDispose]();
});

type Call = (name: string, ...args: TransactionObjectArgument[]) => TransactionObjectArgument;

/** Runs the calls of one transaction. */
async function run(build: (call: Call, transaction: Transaction) => void) {
  const transaction = new Transaction();
  build(
    (name, ...args) =>
      transaction.moveCall({ target: `${packageId}::life::${name}`, arguments: args })[0] as never,
    transaction,
  );
  return execute(chain.client, signer, transaction);
}

/** Why the transaction would fail: what a simulation says, and its names for it. */
async function failure(build: (call: Call, transaction: Transaction) => void): Promise<string> {
  try {
    await run(build);
    return 'it succeeded';
  } catch (error) {
    const { message, executionError } = error as Error & { executionError?: SuiClientTypes.ExecutionError };
    const name = executionError?.CommandArgumentError?.name ?? '';
    return [message, executionError?.$kind, name].join(' | ');
  }
}

const me = () => signer.toSuiAddress();
const u64 = (transaction: Transaction, value: number) =>
  transaction.pure.u64(value) as unknown as TransactionObjectArgument;

async function newThing(value = 1): Promise<string> {
  const { objectTypes } = await run((call, transaction) => {
    transaction.transferObjects([call('new', u64(transaction, value))], me());
  });
  return idOfType(objectTypes, '::life::Thing');
}

const changeOf = (
  { effects }: { effects: { changedObjects: readonly SuiClientTypes.ChangedObject[] } },
  id: string,
) => effects.changedObjects.find(({ objectId }) => objectId === id);

describe('publishing', () => {
  test('runs the initialiser, returns the upgrade capability, and each id is the next one derived', () => {
    const types = Object.values(published.objectTypes);
    expect(types.filter((type) => type.endsWith('::life::Thing'))).toHaveLength(1);
    expect(types.filter((type) => type.endsWith('::life::Tied'))).toHaveLength(1);
    expect(types.filter((type) => type.endsWith('::package::UpgradeCap'))).toHaveLength(1);
    expect(published.events.map(({ eventType, json }) => [eventType, json])).toEqual([
      [`${packageId}::life::Born`, { value: '1' }],
    ]);
  });
});

describe('what effects say', () => {
  test('created, changed, given away', async () => {
    const thing = await newThing(5);
    const changed = await run((call, transaction) => {
      call('set', transaction.object(thing), u64(transaction, 6));
    });
    expect(changeOf(changed, thing)).toMatchObject({
      inputState: 'Exists',
      outputState: 'ObjectWrite',
      idOperation: 'None',
    });
    const other = (await chain.account()).toSuiAddress();
    const given = await run((call, transaction) => {
      call('give', transaction.object(thing), transaction.pure.address(other) as never);
    });
    expect(changeOf(given, thing)?.outputOwner).toMatchObject({ AddressOwner: other });
  });

  test('an input that is only read gets a new version all the same, as every owned input does', async () => {
    const thing = await newThing();
    const read = await run((call, transaction) => {
      call('value', transaction.object(thing));
    });
    const change = changeOf(read, thing);
    expect(change?.outputVersion).toBe(read.effects.lamportVersion);
    expect(change?.outputDigest).not.toBe(change?.inputDigest);
  });

  test('wrapped, unwrapped, deleted', async () => {
    const thing = await newThing();
    const wrapped = await run((call, transaction) => {
      transaction.transferObjects([call('wrap', transaction.object(thing))], me());
    });
    const box = idOfType(wrapped.objectTypes, '::life::Box');
    expect(changeOf(wrapped, thing)).toMatchObject({
      inputState: 'Exists',
      outputState: 'DoesNotExist',
      idOperation: 'None',
    });
    await expect(chain.client.getObject({ objectId: thing })).rejects.toMatchObject({ reason: 'notFound' });
    const unwrapped = await run((call, transaction) => {
      transaction.transferObjects([call('unwrap', transaction.object(box))], me());
    });
    expect(changeOf(unwrapped, thing)).toMatchObject({
      inputState: 'DoesNotExist',
      outputState: 'ObjectWrite',
      idOperation: 'None',
    });
    const deleted = await run((call, transaction) => {
      call('destroy', transaction.object(thing));
    });
    expect(changeOf(deleted, thing)).toMatchObject({
      inputState: 'Exists',
      outputState: 'DoesNotExist',
      idOperation: 'Deleted',
    });
  });

  test('deleted inside another object, without ever being unwrapped', async () => {
    const thing = await newThing();
    const wrapped = await run((call, transaction) => {
      transaction.transferObjects([call('wrap', transaction.object(thing))], me());
    });
    const box = idOfType(wrapped.objectTypes, '::life::Box');
    const burnt = await run((call, transaction) => {
      call('burn_box', transaction.object(box));
    });
    expect(changeOf(burnt, thing)).toMatchObject({
      inputState: 'DoesNotExist',
      outputState: 'DoesNotExist',
      idOperation: 'Deleted',
    });
  });

  test('what comes and goes within a transaction leaves no trace', async () => {
    const { effects } = await run((call) => {
      call('come_and_go');
    });
    expect(effects.changedObjects).toHaveLength(1);
  });

  test('created and wrapped at once: the inner id is created, and nothing is there', async () => {
    const made = await run((call, transaction) => {
      const thing = call('new', u64(transaction, 1));
      transaction.transferObjects([call('wrap', thing)], me());
    });
    const nowhere = made.effects.changedObjects.filter(
      ({ outputState, idOperation }) => outputState === 'DoesNotExist' && idOperation === 'Created',
    );
    expect(nowhere).toHaveLength(1);
  });

  test('shared and frozen, each from the version of its transaction on', async () => {
    const shared = await run((call, transaction) => {
      call('share', call('new', u64(transaction, 3)));
    });
    const id = idOfType(shared.objectTypes, '::life::Thing');
    expect(changeOf(shared, id)?.outputOwner).toMatchObject({
      Shared: { initialSharedVersion: shared.effects.lamportVersion },
    });
    const frozen = await run((call, transaction) => {
      call('freeze_it', call('new', u64(transaction, 4)));
    });
    const still = idOfType(frozen.objectTypes, '::life::Thing');
    expect(changeOf(frozen, still)?.outputOwner?.$kind).toBe('Immutable');
    const read = await run((call, transaction) => {
      call('value', transaction.object(still));
      call('set', transaction.object(id), u64(transaction, 9));
    });
    expect(changeOf(read, still)).toBeUndefined();
    expect(changeOf(read, id)?.idOperation).toBe('None');
  });

  test('a shared object may be deleted, and then cannot be named any more', async () => {
    const shared = await run((call, transaction) => {
      call('share', call('new', u64(transaction, 3)));
    });
    const id = idOfType(shared.objectTypes, '::life::Thing');
    const deleted = await run((call, transaction) => {
      call('destroy', transaction.object(id));
    });
    expect(changeOf(deleted, id)).toMatchObject({ outputState: 'DoesNotExist', idOperation: 'Deleted' });
    expect(await failure((call, transaction) => void call('value', transaction.object(id)))).toMatch(
      /not found|deleted/i,
    );
  });
});

describe('what a transaction may not do', () => {
  test('share an object that was there before', async () => {
    const thing = await newThing();
    expect(await failure((call, transaction) => void call('share', transaction.object(thing)))).toMatch(
      /MoveAbort.*abort code: 0.*transfer::share_object/s,
    );
  });

  test('give a shared object away', async () => {
    const shared = await run((call, transaction) => {
      call('share', call('new', u64(transaction, 3)));
    });
    const id = idOfType(shared.objectTypes, '::life::Thing');
    expect(
      await failure((call, transaction) => {
        call('give', transaction.object(id), transaction.pure.address(me()) as never);
      }),
    ).toMatch(/shared ?object ?operation/i);
  });

  test('change or take an immutable object', async () => {
    const frozen = await run((call, transaction) => {
      call('freeze_it', call('new', u64(transaction, 4)));
    });
    const id = idOfType(frozen.objectTypes, '::life::Thing');
    expect(
      await failure((call, transaction) => void call('set', transaction.object(id), u64(transaction, 1))),
    ).toMatch(/InvalidObjectByMutRef/);
    expect(await failure((call, transaction) => void call('destroy', transaction.object(id)))).toMatch(
      /InvalidObjectByValue/,
    );
  });

  test('leave a value that nobody may drop', async () => {
    expect(await failure((call, transaction) => void call('hot', u64(transaction, 1)))).toMatch(
      /without the drop ability/i,
    );
    expect(await failure((call, transaction) => void call('new', u64(transaction, 1)))).toMatch(
      /without the drop ability/i,
    );
  });

  test('use a value twice that cannot be copied', async () => {
    expect(
      await failure((call, transaction) => {
        const hot = call('hot', u64(transaction, 1));
        call('cool', hot);
        call('cool', hot);
      }),
    ).toMatch(/ArgumentWithoutValue|InvalidValueUsage/);
  });

  test('call what is hidden', async () => {
    for (const name of ['hidden', 'family'])
      expect(await failure((call) => void call(name))).toMatch(/non.?entry/i);
  });

  test('pass the wrong number, the wrong types, or bytes that are none of the type', async () => {
    const thing = await newThing();
    expect(await failure((call) => void call('value'))).toMatch(/arity/i);
    expect(
      await failure((call, transaction) => {
        call('set', transaction.object(thing), transaction.object(thing));
      }),
    ).toMatch(/TypeMismatch/);
    expect(
      await failure((call, transaction) => {
        call('set', transaction.object(thing), transaction.pure.u8(1) as never);
      }),
    ).toMatch(/InvalidBcsBytes/);
    expect(
      await failure((call, transaction) => {
        call('cool', transaction.pure.u64(1) as never);
      }),
    ).toMatch(/InvalidUsageOfPureArgument/);
  });

  test('use type arguments that do not fit', async () => {
    const thing = await newThing();
    const generic = (typeArguments: string[]) =>
      failure((_call, transaction) => {
        transaction.moveCall({
          target: `${packageId}::life::generic`,
          typeArguments,
          arguments: [transaction.object(thing)],
        });
      });
    expect(await generic([`${packageId}::life::Thing`])).toBe('it succeeded');
    expect(await generic([`${packageId}::life::Tied`])).toMatch(/TypeArgument|constraint/i);
    expect(await generic([])).toMatch(/type arity/i);
  });
});

describe('values between commands', () => {
  test('results may be copied, borrowed, taken apart and put into vectors', async () => {
    const transaction = new Transaction();
    const call = (name: string, args: unknown[] = []) =>
      transaction.moveCall({ target: `${packageId}::life::${name}`, arguments: args as never[] });
    const receipt = call('receipt', [transaction.pure.u64(20)]);
    call('receipts', [receipt, receipt]);
    const [, second] = call('two');
    call('receipts', [second, receipt]);
    const things = [1, 2, 3].map((value) => call('new', [transaction.pure.u64(value)]));
    call('sum', [transaction.makeMoveVec({ elements: things as never[] })]);
    call('count', [
      transaction.pure('vector<vector<u8>>', [[1], [2], []]),
      transaction.pure.option('bool', false),
    ]);
    call('cool', [call('hot', [transaction.pure.u64(8)])]);
    const numbers = await simulate(transaction);
    expect([numbers[1], numbers[3], numbers[8], numbers[9], numbers[11]]).toEqual([40, 22, 6, 3, 8]);
  });

  test('an entry function that is not public can be called by a transaction', async () => {
    const thing = await newThing(77);
    const transaction = new Transaction();
    transaction.moveCall({
      target: `${packageId}::life::only_entry`,
      arguments: [transaction.object(thing)],
    });
    expect(await simulate(transaction)).toEqual([77]);
  });

  /** The first result of each command, where it is a u64. */
  async function simulate(transaction: Transaction): Promise<(number | undefined)[]> {
    transaction.setSender(me());
    const { commandResults } = await chain.client.simulateTransaction({
      transaction,
      include: { commandResults: true },
    });
    return (commandResults ?? []).map(({ returnValues: [first] }) =>
      first?.bcs?.length === 8 ? Number(bcs.u64().parse(first.bcs)) : undefined,
    );
  }
});
