import { expect, test } from 'vitest';
import { systemClock } from '#base';
import { createObjectProofs } from './object-proofs.ts';

test('a genuine object that is served under the id of another one counts as unread, and is named', async () => {
  const asked = `0x${'a'.repeat(64)}`;
  const other = `0x${'b'.repeat(64)}`;
  const unproven: string[] = [];
  const proofs = createObjectProofs({
    nodes: { read: () => Promise.reject(new Error('nothing is asked for an object that was not asked for')) },
    pin: { epoch: 1, checkpoint: '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S' },
    clock: systemClock,
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
