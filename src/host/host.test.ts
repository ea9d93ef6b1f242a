import { expect, test } from 'vitest';
import { makeWorld } from './host-world.fixture.ts';

test('a second host on the same directory is refused', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  const second = makeWorld({ stateDir: world.stateDir });
  expect((await second.host.run()).error).toMatchObject({ code: 'DAAS_LOCK_HELD' });
  world.host.stop('test');
  await ended;
});
