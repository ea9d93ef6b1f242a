import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { FakeChain, FakeClock, fakeId } from '#testing';
import { mintForStanding } from './stake.ts';
import { holdJournal } from './stake-session.ts';

test('a journal of signed transactions is for one process at a time', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'stake-'));
  const file = join(directory, 'state', 'stake.json');
  const first = new Lifetime();
  await (await holdJournal(file, first)).write('pending', 'signed');
  await using second = new Lifetime();
  await expect(holdJournal(file, second)).rejects.toMatchObject({ code: 'DAAS_LOCK_HELD' });
  await first.close();
  expect((await holdJournal(file, second)).read('pending')).toBe('signed');
  await second.close();
  expect(await readdir(join(directory, 'state'))).toEqual(['stake.json']);
  await rm(directory, { recursive: true });
});

describe('a stake that was there already', () => {
  const holderKey = new Uint8Array(32).fill(1);
  const chain = new FakeChain({ clock: new FakeClock() });
  const record = chain.expectRecord(chain.addRecord({ nodeId: 'worker-1', stakeMist: 2_000n }));

  /** The calls that are there: a stake is not among them. */
  function callsOf(wallet: string) {
    const minted: string[] = [];
    return {
      minted,
      wallet,
      receiptOf: async ({ id }: typeof record) => ({ objectId: id, digest: 'of the record' }),
      createWorkerSealToken: async ({ recordId }: { readonly recordId: string }) => {
        minted.push(recordId);
        return { objectId: fakeId('token'), digest: 'of the token' };
      },
    };
  }

  test('gets its token, and nothing is staked, since nobody was asked', async () => {
    const calls = callsOf(record.staker);
    expect(await mintForStanding(calls, record, holderKey)).toEqual({
      staked: { objectId: record.id, digest: 'of the record' },
      minted: { objectId: fakeId('token'), digest: 'of the token' },
    });
    expect(calls.minted).toEqual([record.id]);
  });

  test('is shown alone without a node key', async () => {
    const calls = callsOf(record.staker);
    expect(await mintForStanding(calls, record, undefined)).toMatchObject({ minted: undefined });
    expect(calls.minted).toEqual([]);
  });

  test('is refused when another wallet made it', async () => {
    const calls = callsOf(fakeId('another wallet'));
    await expect(mintForStanding(calls, record, holderKey)).rejects.toMatchObject({
      code: 'DAAS_NODE_ID_TAKEN',
      exitCode: 78,
    });
    expect(calls.minted).toEqual([]);
  });
});
