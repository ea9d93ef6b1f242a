import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FakeClock,
  FakeStakeChain,
  fakeRegistration,
  memoryJournal,
  RecordingLog,
  settled,
} from 'k3s-daas/plugin/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { DaasError } from '#base';
import { definePlugin, JoinCredentialSource, PluginJournal, SealTokenSource, StakeChain } from '#plugin';
import { bind } from './plugin-services.ts';
import { previewStart, refuseWrite } from './preview.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'k3s-daas-preview-'));
});
afterAll(() => rm(root, { recursive: true }));

const stake = { recordId: '0xrecord', tokenId: '0xtoken', stakeMist: 5n };

/** A start whose stake comes from a third party's plugin. */
async function makeWorld(source: Partial<SealTokenSource>, { mayStakeAgain = false } = {}) {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const stateDir = await mkdtemp(join(root, 'state-'));
  const journal = memoryJournal();
  let tasks = 0;
  const plugin = definePlugin({
    name: 'acme-stake',
    api: 1,
    config: z.strictObject({}),
    needs: { chain: StakeChain, journal: PluginJournal },
    setup(scope, needs) {
      scope.provide(SealTokenSource, {
        find: async () => undefined,
        obtain: async () => {
          await needs.chain.settlePending();
          return stake;
        },
        ...source,
      });
      scope.provide(JoinCredentialSource, {
        preflight: async () => undefined,
        register: async () => fakeRegistration(),
      });
      scope.run('loop', async () => {
        tasks += 1;
      });
    },
  });
  const preview = () =>
    previewStart({
      nodeId: 'worker-1',
      stateDir,
      plugins: [{ use: 'acme-stake' }],
      builtIns: { 'acme-stake': async () => plugin },
      pluginDirectory: root,
      mayStakeAgain,
      chain,
      bindings: [bind(StakeChain, Object.assign(chain, { settlePending: () => refuseWrite('sending') }))],
      journal,
      clock,
      log: new RecordingLog(),
    });
  const latch = (recordId: string) =>
    writeFile(
      join(stateDir, 'latch.json'),
      JSON.stringify({ recordId, nodeId: 'worker-1', detail: 'by vote', atMs: 1, isComplete: true }),
      { mode: 0o600 },
    );
  return { clock, chain, preview, latch, tasks: () => tasks };
}

test('the plugin that replaces staking gives the preview, and no task runs', async () => {
  const world = await makeWorld({ preview: async () => ({ plan: 'would borrow a stake from the pool' }) });
  expect(await world.preview()).toEqual({ plan: 'would borrow a stake from the pool', stop: undefined });
  await settled();
  expect(world.tasks()).toBe(0);
});

test('without a preview, what stands is shown, or that the plugin has none', async () => {
  const standing = await makeWorld({ find: async () => stake });
  expect((await standing.preview()).plan).toBe('record 0xrecord stands, with the Seal token 0xtoken');
  const nothing = await makeWorld({});
  expect((await nothing.preview()).plan).toContain("the plugin 'acme-stake' has no preview");
});

test('what a start would end with is the verdict, with the name of the plugin; what may pass is thrown', async () => {
  const refused = await makeWorld({
    preview: async () => {
      throw new DaasError('PLUGIN_POOL_EMPTY', 'the pool is empty', { exitCode: 78 });
    },
  });
  expect(await refused.preview()).toMatchObject({
    plan: 'acme-stake(SealTokenSource): the pool is empty: it would stop here',
    stop: { code: 'PLUGIN_POOL_EMPTY', exitCode: 78 },
  });
  const away = await makeWorld({
    preview: async () => {
      throw new DaasError('PLUGIN_POOL_AWAY', 'the pool does not answer', { isRetryable: true });
    },
  });
  await expect(away.preview()).rejects.toMatchObject({ code: 'PLUGIN_POOL_AWAY', exitCode: 75 });
});

test('a preview that returns something else, or hangs, is an error that names the plugin', async () => {
  const rubbish = await makeWorld({ preview: async () => 'fine' as never });
  expect((await rubbish.preview()).stop).toMatchObject({
    code: 'DAAS_PLUGIN_REPLY',
    message: expect.stringContaining('acme-stake(SealTokenSource): the reply of preview'),
  });
  const hanging = await makeWorld({ preview: () => new Promise(() => undefined) });
  const ended = hanging.preview();
  await settled();
  await hanging.clock.advance(60_000);
  expect((await ended).stop).toMatchObject({
    code: 'DAAS_DEADLINE',
    message: expect.stringContaining('acme-stake(SealTokenSource): the preview took longer'),
  });
});

test('a service that writes refuses to', async () => {
  const world = await makeWorld({
    async preview() {
      await world.chain.settlePending();
      return { plan: 'sent' };
    },
  });
  expect((await world.preview()).stop).toMatchObject({ code: 'DAAS_DRY_RUN' });
});

test('a latch is shown until another record stands, or another stake is asked for', async () => {
  const preview = async () => ({ plan: 'would stake' });
  const latched = await makeWorld({ preview });
  await latched.latch('0xslashed');
  expect((await latched.preview()).stop).toMatchObject({
    code: 'DAAS_LATCHED',
    exitCode: 77,
    // In the words of a start, which name the record and what to do.
    message: expect.stringMatching(/stake record 0xslashed .*stake anew/),
  });
  latched.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5n });
  expect((await latched.preview()).stop).toBeUndefined();
  const again = await makeWorld({ preview }, { mayStakeAgain: true });
  await again.latch('0xslashed');
  expect((await again.preview()).stop).toBeUndefined();
});
