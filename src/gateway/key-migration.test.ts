import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { addKey } from '#state';
import { sealingPrograms, settled } from '#testing';
import type { StateConfig } from './state-config.ts';
import { World } from './world.fixture.ts';

type Keys = StateConfig['keys'];

/** The ids of the keys that the records of a stopped gateway are sealed with. */
function keyIdsOf({ config }: World): readonly string[] {
  const database = new DatabaseSync(join(config.stateDir, 'gateway.db'));
  const rows = database.prepare('SELECT value FROM records').all();
  database.close();
  return [
    ...new Set(rows.map(({ value }) => /^k3s-daas-sealed\/1 (\S+) /.exec(String(value))?.[1] ?? 'none')),
  ];
}

function configure(world: World, keys: Keys): void {
  world.config = { ...world.config, state: { ...world.config.state, keys } };
}

async function idOf(source: Parameters<typeof addKey>[0]): Promise<string> {
  return (await addKey(source, 0))?.ids[0] ?? 'none';
}

/** A restart with other keys; the running gateway seals what the earlier ones have sealed. */
async function moveTo(world: World, keys: Keys, id: string): Promise<void> {
  configure(world, keys);
  const before = world.logged.length;
  await world.startGateway();
  await untilResealed(world, before);
  await world.stopGateway();
  expect(keyIdsOf(world)).toEqual([id]);
}

async function untilResealed(world: World, before: number): Promise<void> {
  await expect
    .poll(
      async () => {
        await settled();
        return world.logged.slice(before).some(({ fields }) => fields.event === 'state.resealed');
      },
      { timeout: 15_000 },
    )
    .toBe(true);
}

const snpDefaults = { rootKey: 'vcek', guestSvn: 0, vmpl: 0 } as const;

/** A state of one member that is sealed; the gateway is stopped. */
async function seal(world: World, keys: Keys): Promise<void> {
  configure(world, keys);
  await world.startGateway();
  await world.member('worker-1');
  await world.stopGateway();
}

/** It runs with these keys alone. */
async function starts(world: World, keys: Keys): Promise<void> {
  configure(world, keys);
  await world.startGateway();
  await world.stopGateway();
}

async function isRefused(world: World, keys: Keys, code: string): Promise<void> {
  configure(world, keys);
  await expect(world.startGateway()).rejects.toMatchObject({ code });
}

test('the keys of a state move from a file to a program and back, and the former place is not needed then', async () => {
  await using world = await World.create();
  const at = (name: string) => join(world.directory, name);
  // As a program that has the TPM open them.
  await writeFile(at('print-keys'), `#!/bin/sh\nexec cat ${at('printed')}\n`, { mode: 0o700 });
  const [file, command] = [at('keys'), [at('print-keys')]];
  const first = await idOf({ file });
  const second = await idOf({ file: at('printed') });
  await seal(world, { file });
  expect(keyIdsOf(world)).toEqual([first]);

  await moveTo(world, { command, earlier: [{ file }] }, second);
  await isRefused(world, { file }, 'DAAS_STATE_KEY_UNKNOWN');
  await starts(world, { command });

  await moveTo(world, { file, earlier: [{ command }] }, first);
  await starts(world, { file });
});

test('code that derives other keys takes over a state that the code before it has handed over', async () => {
  await using world = await World.create();
  const programs = await sealingPrograms(world.directory);
  const idsFile = join(world.directory, 'ids');
  const bridge = { file: join(world.directory, 'bridge') };
  const snp = { program: programs.snpguest, idsFile, mix: ['measurement' as const], ...snpDefaults };
  await programs.measure('version-1');
  const first = await idOf({ snp });
  await seal(world, { snp });
  expect(keyIdsOf(world)).toEqual([first]);

  await programs.measure('version-2');
  await isRefused(world, { snp }, 'DAAS_STATE_KEYS_INVALID');

  await programs.measure('version-1');
  const between = await idOf(bridge);
  await moveTo(world, { ...bridge, earlier: [{ snp }] }, between);

  await programs.measure('version-2');
  await rm(idsFile);
  const second = await idOf({ snp });
  await moveTo(world, { snp, earlier: [bridge] }, second);
  await rm(bridge.file);
  await starts(world, { snp });
});

test('an image opens the state as soon as the key policy of KMS names it, and a new key is taken while the gateway runs', async () => {
  await using world = await World.create();
  const programs = await sealingPrograms(world.directory);
  const kms = {
    program: programs.kmstool,
    file: join(world.directory, 'encrypted'),
    region: 'eu-central-1',
    keyId: 'alias/state',
    proxyPort: 8000,
    credentialsFile: programs.credentialsFile,
  };
  await programs.measure('image-1');
  await programs.allow('image-1');
  await idOf({ kms });
  await seal(world, { kms });

  await programs.measure('image-2');
  await isRefused(world, { kms }, 'DAAS_STATE_KEYS_INVALID');
  await programs.allow('image-1', 'image-2');
  await starts(world, { kms });
  await programs.allow('image-2');
  configure(world, { kms });
  await world.startGateway();
  const second = await idOf({ kms });
  const before = world.logged.length;
  await world.pass(61_000);
  await untilResealed(world, before);
  await world.stopGateway();
  expect(keyIdsOf(world)).toEqual([second]);
});
