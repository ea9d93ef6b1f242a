import { describe, expect, test } from 'vitest';
import { systemClock } from '#base';
import { createObjectProofs } from './object-proofs.ts';
import type { Nodes } from './proof/index.ts';
import {
  forgedStep,
  forgedWrite,
  honestChain,
  servedBy,
  servedObject,
  servedPin,
} from './proof/served-chain.fixture.ts';

/** The fixtures are of 2023. */
const clock = { ...systemClock, nowMs: () => 1_700_000_000_000 };

test('a genuine object that is served under the id of another one counts as unread, and is named', async () => {
  const asked = `0x${'a'.repeat(64)}`;
  const other = `0x${'b'.repeat(64)}`;
  const unproven: string[] = [];
  const proofs = createObjectProofs({
    nodes: { read: () => Promise.reject(new Error('nothing is asked for an object that was not asked for')) },
    anchors: async () => ({
      trust: { epoch: 1, checkpoint: '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S' },
    }),
    clock,
    onUnproven: ({ objectId, detail, contradictedBy }) =>
      unproven.push(`${contradictedBy}: ${objectId}: ${detail}`),
  });
  const served = {
    id: other,
    version: 1n,
    digest: '',
    type: '',
    content: new Uint8Array(),
    ownerAddress: undefined,
    initialSharedVersion: undefined,
    previousTransaction: '',
  };
  const source = { url: 'https://node.example', call: () => Promise.reject(new Error('not asked')) };
  expect(await proofs.proven(new Map([[asked, served]]), source)).toEqual(new Map());
  expect(unproven).toEqual([`https://node.example: ${asked}: the node served object ${other} in its place`]);
});

describe('an endpoint is blamed for its own proof alone', () => {
  const served = {
    ...servedObject,
    type: '',
    content: new Uint8Array(),
    ownerAddress: undefined,
    initialSharedVersion: undefined,
    previousTransaction: '',
  };

  /** Reads the object from each source at once; which are proven, and who is blamed. */
  async function readBy(pool: Nodes['read'], sources: Readonly<Record<string, Nodes['read']>>) {
    const blamed: (string | undefined)[] = [];
    const proofs = createObjectProofs({
      nodes: { read: pool },
      anchors: async () => ({ trust: servedPin }),
      clock,
      waitForMs: 0,
      onUnproven: ({ contradictedBy }) => blamed.push(contradictedBy),
    });
    const read = await Promise.all(
      Object.entries(sources).map(async ([url, call]) => {
        const proven = await proofs.proven(new Map([[served.id, served]]), { url, call });
        return [url, proven.has(served.id)] as const;
      }),
    );
    return { proven: Object.fromEntries(read), blamed };
  }

  const honest = servedBy(() => honestChain);
  const liar = servedBy(() => forgedWrite);
  const pruned = servedBy(() => undefined);

  test.each([
    ['both at once, the liar first', honest, { liar, honest }, { liar: false, honest: true }, ['liar']],
    ['a liar alone', honest, { liar }, { liar: false }, ['liar']],
    [
      'one without the proof, while another of the pool lies',
      liar,
      { pruned },
      { pruned: false },
      [undefined],
    ],
    [
      'an honest one, while the pool serves a forged step to the committee',
      servedBy(() => forgedStep),
      { honest },
      { honest: true },
      [],
    ],
    [
      'one that serves the forged step itself',
      servedBy(() => forgedStep),
      { liar: servedBy(() => forgedStep) },
      { liar: false },
      ['liar'],
    ],
    [
      'one without the proof, while the pool serves a forged step',
      servedBy(() => forgedStep),
      { pruned },
      { pruned: false },
      [undefined],
    ],
  ])('%s', async (_what, pool, sources, proven, blamed) => {
    expect(await readBy(pool, sources)).toEqual({ proven, blamed });
  });
});

test('a proof that is not there yet is waited for', async () => {
  let asked = 0;
  const later = servedBy(() => (++asked > 2 ? honestChain : undefined));
  const proofs = createObjectProofs({
    nodes: { read: later },
    anchors: async () => ({ trust: servedPin }),
    clock,
    random: () => 0,
  });
  const object = { ...servedObject, type: '', content: new Uint8Array(), previousTransaction: '' };
  const served = { ...object, ownerAddress: undefined, initialSharedVersion: undefined };
  const read = await proofs.proven(new Map([[served.id, served]]), {
    url: 'https://node.example',
    call: later,
  });
  expect(read.has(served.id)).toBe(true);
});
