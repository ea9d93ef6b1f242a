import { expect, test } from 'vitest';
import { unavailable } from './members.fixture.ts';
import { World } from './world.fixture.ts';

const listings = { 'server-1': 'ordinary', 'server-2': 'expected' };

async function withServers(): Promise<World> {
  const world = await World.start();
  for (const [name, listing] of Object.entries(listings)) world.kubernetes.names.set(name, listing);
  world.kubernetes.addNode('server-1', {
    addresses: ['192.0.2.1', '2001:DB8:0:0::1', '127.0.0.1', 'server-1'],
  });
  await world.pass(62_000);
  return world;
}
const writes = (world: World) => world.kubernetes.heldWrites;

test('the addresses of the operator’s Nodes are listed in canonical form, and those of staked and unknown ones are not', async () => {
  await using world = await withServers();
  await world.member('worker-1');
  world.kubernetes.addNode('unknown', { addresses: ['192.0.2.66'] });
  await world.pass(3_000);
  expect(world.kubernetes.heldAddresses).toEqual(['192.0.2.1', '2001:db8::1']);
});

test('the list follows the Nodes, and is written when it changes alone', async () => {
  await using world = await withServers();
  const before = writes(world);
  await world.pass(200_000);
  expect(writes(world)).toBe(before);
  world.kubernetes.addNode('server-2', { addresses: ['198.51.100.2'] });
  await world.pass(3_000);
  expect(world.kubernetes.heldAddresses).toEqual(['192.0.2.1', '198.51.100.2', '2001:db8::1']);
  world.kubernetes.removeNode('server-1');
  await world.pass(3_000);
  expect(world.kubernetes.heldAddresses).toEqual(['198.51.100.2']);
});

test('a list that was changed in the cluster is put right within a minute', async () => {
  await using world = await withServers();
  world.kubernetes.heldAddresses = [];
  await world.pass(62_000);
  expect(world.kubernetes.heldAddresses).toEqual(['192.0.2.1', '2001:db8::1']);
});

test('an API server that was away gets the list when it is back', async () => {
  await using world = await World.start();
  world.kubernetes.names.set('server-1', 'ordinary');
  let failures = 2;
  world.kubernetes.before = (method) => {
    if (method === 'holdAddresses' && failures-- > 0) throw unavailable();
  };
  world.kubernetes.addNode('server-1', { addresses: ['192.0.2.1'] });
  await world.pass(65_000);
  expect(failures).toBeLessThan(0);
  expect(world.kubernetes.heldAddresses).toEqual(['192.0.2.1']);
  expect(world.logged.map(({ message }) => message)).toContain(
    'The addresses of the operator’s nodes are listed again',
  );
});
