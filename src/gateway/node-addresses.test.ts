import { describe, expect, test } from 'vitest';
import { createNodeAddresses } from './node-addresses.ts';
import { World } from './world.fixture.ts';

const staked = (name: string) => name.startsWith('worker');
const node = (name: string, ...addresses: string[]) => ({ name, addresses });

test('a staked Node is named that comes to the address of another one, and no ordinary one', () => {
  const book = createNodeAddresses(staked);
  expect(book.note(node('server', '192.0.2.1', '2001:db8::1'))).toEqual([]);
  expect(book.note(node('worker-1', '192.0.2.7'))).toEqual([]);
  expect(book.note(node('worker-1', '192.0.2.1', '2001:DB8:0::1'))).toEqual([
    { nodeId: 'worker-1', address: '192.0.2.1', sharedWith: 'server' },
    { nodeId: 'worker-1', address: '2001:db8::1', sharedWith: 'server' },
  ]);
  // Once, as long as it stays there.
  expect(book.note(node('worker-1', '192.0.2.1', '2001:db8::1'))).toEqual([]);
  expect(book.note(node('other-server', '192.0.2.1'))).toEqual([
    { nodeId: 'worker-1', address: '192.0.2.1', sharedWith: 'other-server' },
  ]);
});

test('a loopback address is every machine’s own', () => {
  const book = createNodeAddresses(staked);
  book.note(node('server', '127.0.0.1', '::1'));
  expect(book.note(node('worker-1', '127.0.0.1', '::1'))).toEqual([]);
});

test('of two staked ones it is the one that came later; who has gone shares nothing', () => {
  const book = createNodeAddresses(staked);
  book.note(node('worker-1', '192.0.2.7'));
  expect(book.note(node('worker-2', '192.0.2.7'))).toMatchObject([
    { nodeId: 'worker-2', sharedWith: 'worker-1' },
  ]);
  book.forget('worker-2');
  book.keep(new Set());
  expect(book.note(node('worker-3', '192.0.2.7'))).toEqual([]);
});

describe('a gateway', () => {
  test('writes down a worker that reports the address of another Node, also when it does so for a moment', async () => {
    await using world = await World.start();
    world.kubernetes.names.set('server', 'ordinary');
    world.kubernetes.addNode('server', { addresses: ['192.0.2.1'] });
    await world.member('worker-1');
    await world.pass(5_000);
    for (const address of ['192.0.2.1', '192.0.2.7'])
      world.kubernetes.updateNode('worker-1', { addresses: [address] });
    await world.pass(5_000);
    expect((await world.audit()).filter(({ event }) => event === 'node.address_shared')).toMatchObject([
      { node_id: 'worker-1', address: '192.0.2.1', shared_with: 'server' },
    ]);
  });
});
