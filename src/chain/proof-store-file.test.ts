import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '#base';
import { createObjectProofs } from './object-proofs.ts';
import type { ReadObject } from './object-reads.ts';
import { createCommitteeFollower } from './proof/committee-follower.ts';
import { DAY_MS, epochChain, FIRST_END_MS } from './proof/epochs.fixture.ts';
import type { ProofStore } from './proof/index.ts';
import { honestChain, servedBy, servedObject, servedPin } from './proof/served-chain.fixture.ts';
import { signedCheckpoint, signingCommittee } from './proof/signed-chain.fixture.ts';
import { openProofStore } from './proof-store-file.ts';

const CHAIN = '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S';
let directory = '';
const file = () => join(directory, 'proofs.db');
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proofs-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** As one start of the program has it. */
async function oneStart<T>(body: (store: ProofStore) => Promise<T>, chainId = CHAIN): Promise<T> {
  using store = openProofStore(file(), chainId);
  const result = await body(store);
  expect(store.failure()).toBeUndefined();
  return result;
}

test('committees are followed once: the next start goes on where the last one was', async () => {
  const chain = epochChain(8);
  const trust = chain.pinOf(0);
  const nowMs = () => FIRST_END_MS + 8 * DAY_MS;
  const follow = (epoch: bigint) =>
    oneStart((store) =>
      createCommitteeFollower({ nodes: chain.nodes, anchors: { trust }, store, nowMs }).upTo(
        epoch,
        chain.nodes,
      ),
    );
  expect((await follow(6n)).newestEpoch).toBe(6n);
  const before = chain.asked();
  const again = await follow(6n);
  expect([again.newestEpoch, again.of(3n).epoch]).toEqual([6n, 3n]);
  expect(chain.asked()).toBe(before);
  expect((await follow(8n)).newestEpoch).toBe(8n);
  expect(chain.asked()).toBe(before + 2);
  expect((await stat(file())).mode & 0o777).toBe(0o600);
});

test('a start of weeks later goes on from the kept committees only with a recent pin', async () => {
  const chain = epochChain(30);
  const follow = (nowEpoch: number, recent?: number) =>
    oneStart((store) =>
      createCommitteeFollower({
        nodes: chain.nodes,
        anchors: {
          trust: chain.pinOf(0),
          ...(recent !== undefined && { recentTrust: chain.pinOf(recent) }),
        },
        store,
        nowMs: () => FIRST_END_MS + nowEpoch * DAY_MS,
      }).upTo(3n, chain.nodes),
    );
  await follow(3);
  await expect(follow(28)).rejects.toMatchObject({ code: 'DAAS_TRUST_TOO_OLD' });
  expect((await follow(28, 27)).newestEpoch).toBe(28n);
  expect((await follow(28)).newestEpoch).toBe(28n);
});

const served: ReadObject = {
  ...servedObject,
  type: '',
  content: new Uint8Array(),
  ownerAddress: undefined,
  initialSharedVersion: undefined,
  previousTransaction: '',
};

function proofs(store: ProofStore, call = servedBy(() => honestChain), onFork?: (evidence: string) => void) {
  return createObjectProofs({
    nodes: { read: call },
    anchors: async () => ({ trust: servedPin }),
    // The fixtures are of 2023.
    clock: { ...systemClock, nowMs: () => 1_700_000_000_000 },
    waitForMs: 0,
    store,
    onFork,
  });
}
const source = (call = servedBy(() => honestChain)) => ({ url: 'https://node.example', call });
const readOnce = (store: ProofStore, object = served, call = servedBy(() => honestChain)) =>
  proofs(store, call).proven(new Map([[object.id, object]]), source(call));

test('a version that was proven before a restart is believed after it, and an older one is not', async () => {
  await oneStart((store) => readOnce(store));
  const away = () => Promise.reject(new Error('no node is asked'));
  const again = await oneStart((store) => readOnce(store, served, away));
  expect(again.get(served.id)).toMatchObject({ version: 5n, type: expect.stringContaining('::StakeRecord') });
  const replayed = await oneStart((store) =>
    readOnce(store, { ...served, version: 4n, digest: 'old' }, away),
  );
  expect(replayed.get(served.id)).toMatchObject({ version: 5n });
});

test('what is kept of another chain is forgotten', async () => {
  await oneStart((store) => readOnce(store));
  const kept = await oneStart(async (store) => store.proof(served.id), 'anotherChain');
  expect(kept).toBeUndefined();
});

test('the oldest proofs make room for new ones', async () => {
  using store = openProofStore(file(), CHAIN, { mostProofs: 2 });
  const kept = (provenAtMs: number) => ({ version: 5n, provenAtMs, proof: honestChain.write });
  for (const [name, atMs] of [
    ['0xa', 1],
    ['0xb', 2],
    ['0xc', 3],
  ] as const)
    store.keepProof(name, kept(atMs));
  expect(['0xa', '0xb', '0xc'].map((name) => store.proof(name) !== undefined)).toEqual([false, true, true]);
});

test('two signed checkpoints of one height stop everything, after a restart too', async () => {
  const heard: string[] = [];
  await oneStart(async (store) => {
    const reading = proofs(store, undefined, (evidence) => heard.push(evidence));
    await reading.proven(new Map([[served.id, served]]), source());
    const other = { ...honestChain.write, ...lastOfHeight30() };
    await expect(reading.accept(other)).rejects.toMatchObject({ code: 'DAAS_CHAIN_FORK', exitCode: 78 });
    await expect(reading.proven(new Map([[served.id, served]]), source())).rejects.toMatchObject({
      code: 'DAAS_CHAIN_FORK',
    });
  });
  expect(heard).toHaveLength(1);
  await expect(oneStart((store) => readOnce(store))).rejects.toMatchObject({ code: 'DAAS_CHAIN_FORK' });
});

/** Another checkpoint of the committee and the height of the object's, with the same contents. */
function lastOfHeight30() {
  const committee = signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n]);
  return signedCheckpoint(committee, {
    contents: honestChain.write.contents,
    timestampMs: 1_700_000_000_001n,
  });
}

test('a file that is none is named, and not overwritten', async () => {
  await writeFile(file(), 'this is no database, and long enough to be read as one'.repeat(20), {
    mode: 0o600,
  });
  expect(() => openProofStore(file(), CHAIN)).toThrow(
    expect.objectContaining({ code: 'DAAS_PROOF_STORE_DAMAGED', exitCode: 78 }),
  );
});

test('a database of something else is named too, and stays as it is', async () => {
  {
    using database = new DatabaseSync(file());
    database.exec('CREATE TABLE notes (title TEXT)');
  }
  await chmod(file(), 0o600);
  expect(() => openProofStore(file(), CHAIN)).toThrow(
    expect.objectContaining({ code: 'DAAS_PROOF_STORE_DAMAGED', exitCode: 78 }),
  );
});

test('a write that fails is said once, until one succeeds', () => {
  const said: string[] = [];
  using store = openProofStore(file(), CHAIN, { onFailure: (detail) => said.push(detail) });
  const keep = () => store.keepFork('evidence');
  const lock = new DatabaseSync(file());
  lock.exec('BEGIN IMMEDIATE');
  keep();
  keep();
  expect(said).toEqual([store.failure()]);
  lock.exec('ROLLBACK');
  lock.close();
  keep();
  expect(store.failure()).toBeUndefined();
});
