import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { addKey } from '#state';
import { settled } from '#testing';
import { World } from './world.fixture.ts';

/** The id of the key that each record of a stopped gateway is sealed with; `undefined`: it is not. */
function keyIdsOf({ config }: World): Array<string | undefined> {
  const database = new DatabaseSync(join(config.stateDir, 'gateway.db'));
  const rows = database.prepare('SELECT value FROM records').all();
  database.close();
  return [...new Set(rows.map(({ value }) => /^k3s-daas-sealed\/1 (\S+) /.exec(String(value))?.[1]))];
}

test('a gateway that runs seals its state with a new key, and starts without the earlier one then', async () => {
  await using world = await World.create();
  const file = join(world.directory, 'keys');
  onTestFinished(() => rm(file, { force: true }));
  await world.startGateway();
  const worker = await world.member('worker-1');
  await world.stopGateway();
  expect(keyIdsOf(world)).toEqual([undefined]);

  const first = await addKey({ file }, 0);
  world.config = { ...world.config, state: { ...world.config.state, keys: { file } } };
  await world.startGateway();
  const second = await addKey({ file }, 0);
  expect(second?.ids).toEqual([expect.any(String), ...(first?.ids ?? [])]);
  await world.pass(11_000);
  await expect
    .poll(async () => {
      await settled();
      return world.logged.some(({ fields }) => fields.event === 'state.resealed');
    })
    .toBe(true);
  await world.stopGateway();
  expect(keyIdsOf(world)).toEqual([second?.ids[0]]);

  await rm(file);
  await expect(world.startGateway()).rejects.toMatchObject({ code: 'DAAS_STATE_KEYS_INVALID' });
  await addKey({ file }, 0);
  await expect(world.startGateway()).rejects.toMatchObject({ code: 'DAAS_STATE_KEY_UNKNOWN' });
  expect(worker.nodeId).toBe('worker-1');
});
