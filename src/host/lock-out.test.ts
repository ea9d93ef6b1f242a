import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { DaasError } from '#base';
import { openJournal } from '#infrastructure';
import { away, makeWorld, sealed, slashed, unbonding } from './host-world.fixture.ts';

test('slashed: latch, agent and pods gone, exit 77; a restart is refused until another record stands', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.control().stop(slashed);
  world
    .control()
    .stop({ ...unbonding, cause: { kind: 'ended', recordId: '0xrecord', detail: 'too late to count' } });
  expect(await ended).toMatchObject({ exitCode: 77, error: { code: 'DAAS_STAKE_SLASHED' } });
  expect(world.agent.calls).toEqual(['preflight', 'start', 'stopForGood', 'dispose']);
  expect(await world.latch()).toMatchObject({ recordId: '0xrecord', isComplete: true });

  const again = makeWorld({ stateDir: world.stateDir });
  expect(await again.host.run()).toMatchObject({ exitCode: 77, error: { code: 'DAAS_LATCHED' } });
  expect(again.asked).toEqual([]);
  expect(again.agent.starts).toEqual([]);

  const restaked = makeWorld({ stateDir: world.stateDir });
  restaked.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5n });
  restaked.script.obtain = async () => ({ ...sealed, recordId: '0xother' });
  const running = restaked.host.run();
  await restaked.arrived('run');
  restaked.host.stop('test');
  expect((await running).exitCode).toBe(0);
  await expect(world.latch()).rejects.toThrow('ENOENT');
});

test('a latch holds while the chain does not answer, and when its file is damaged', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.control().stop(slashed);
  await ended;

  const silent = makeWorld({ stateDir: world.stateDir });
  silent.chain.isDown = true;
  const waiting = silent.host.run();
  await silent.arrived('preflight');
  await vi.waitFor(() => expect(silent.clock.sleepers).toBe(1));
  await silent.clock.advance(60_000);
  expect((await waiting).exitCode).toBe(77);

  await writeFile(join(world.stateDir, 'latch.json'), '{"recordId":');
  const damaged = makeWorld({ stateDir: world.stateDir });
  damaged.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5n });
  expect((await damaged.host.run()).exitCode).toBe(77);
});

test('a host killed while it locked itself out finishes that at its next start', async () => {
  const world = makeWorld();
  await openJournal(join(world.stateDir, 'journal.json'));
  await writeFile(
    join(world.stateDir, 'latch.json'),
    JSON.stringify({
      recordId: '0xrecord',
      nodeId: 'worker-1',
      detail: 'by vote',
      atMs: 1,
      isComplete: false,
    }),
  );
  expect((await world.host.run()).exitCode).toBe(77);
  expect(world.agent.calls).toEqual(['preflight', 'stopForGood', 'stop', 'dispose']);
  expect(await world.latch()).toMatchObject({ isComplete: true });
});

test('a record that a stranger staked under the name does not lift the latch', async () => {
  const world = makeWorld();
  await openJournal(join(world.stateDir, 'journal.json'));
  const latch = { recordId: '0xrecord', nodeId: 'worker-1', detail: 'by vote', atMs: 1, isComplete: true };
  await writeFile(join(world.stateDir, 'latch.json'), JSON.stringify(latch));
  world.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5n });
  world.script.find = async () => {
    throw new DaasError('DAAS_NODE_ID_TAKEN', 'staked by another wallet', { exitCode: 78 });
  };
  expect((await world.host.run()).exitCode).toBe(78);
  expect(await world.latch()).toEqual(latch);
});

test('a latched host that was killed before it forgot its join does not start on old certificates while the chain is silent', async () => {
  const world = makeWorld({ mayStakeAgain: true });
  const journal = await openJournal(join(world.stateDir, 'journal.json'));
  await journal.section('host').write('joined', { recordId: '0xrecord', nodeLabels: {}, taints: [] });
  const latch = { recordId: '0xrecord', nodeId: 'worker-1', detail: 'by vote', atMs: 1, isComplete: false };
  await writeFile(join(world.stateDir, 'latch.json'), JSON.stringify(latch));
  world.script.find = async () => {
    throw away();
  };
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked).toEqual(['find']));
  await world.clock.advance(299_000);
  expect(world.agent.starts).toEqual([]);
  await world.clock.advance(1_000);
  expect((await ended).exitCode).toBe(75);
});

test('with --stake-again a latched host comes to the point of staking, and the latch falls when the new record stands', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.control().stop(slashed);
  await ended;

  const same = makeWorld({ stateDir: world.stateDir, mayStakeAgain: true });
  expect(await same.host.run()).toMatchObject({ exitCode: 77, error: { code: 'DAAS_LATCHED' } });

  const other = makeWorld({ stateDir: world.stateDir, mayStakeAgain: true });
  other.script.obtain = async () => ({ ...sealed, recordId: '0xother' });
  const running = other.host.run();
  await other.arrived('run');
  other.host.stop('test');
  expect((await running).exitCode).toBe(0);
});

test('a stake that ended or an eviction stops for good with 77 and leaves no latch', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.control().stop(unbonding);
  expect(await ended).toMatchObject({ exitCode: 77, error: { code: 'DAAS_STAKE_ENDED' } });
  expect(world.agent.calls).toContain('stopForGood');
  await expect(world.latch()).rejects.toThrow('ENOENT');
});

test('a node that is banned at its start stops what an earlier life left running and forgets its join', async () => {
  const world = makeWorld();
  const journal = await openJournal(join(world.stateDir, 'journal.json'));
  await journal.section('host').write('joined', { recordId: '0xrecord', nodeLabels: {}, taints: [] });
  world.script.register = async () => {
    throw new DaasError('DAAS_GATEWAY_BANNED', 'this node is banned', { exitCode: 77 });
  };
  expect(await world.host.run()).toMatchObject({ exitCode: 77, error: { code: 'DAAS_GATEWAY_BANNED' } });
  expect(world.agent.calls).toContain('stopForGood');
  const after = await openJournal(join(world.stateDir, 'journal.json'));
  expect(after.section('host').read('joined')).toBeUndefined();
  await expect(world.latch()).rejects.toThrow('ENOENT');
});

test('a slash while the host still waits for its gateway ends it at once', async () => {
  const world = makeWorld();
  world.script.register = (signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const ended = world.host.run();
  await world.arrived('register');
  world.control().stop(slashed);
  expect((await ended).exitCode).toBe(77);
  expect(world.agent.starts).toEqual([]);
});

test('a disk that refuses the latch does not keep the agent alive', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  await rm(world.stateDir, { recursive: true });
  world.control().stop(slashed);
  expect((await ended).exitCode).toBe(77);
  expect(world.agent.calls).toContain('stopForGood');
});

test('the host emits the event for the end of a stake, whichever plugin learns of it', async () => {
  for (const [ending, event, fact] of [
    [slashed, 'stake.slashed', { recordId: '0xrecord', source: 'chain' }],
    [unbonding, 'stake.ended', { recordId: '0xrecord', status: 'unbonding', source: 'chain' }],
  ] as const) {
    const world = makeWorld();
    const told: unknown[] = [];
    world.host.events.on(event, (heard) => told.push(heard));
    const ended = world.host.run();
    await world.arrived('run');
    world.control().stop(ending);
    await ended;
    expect(told).toEqual([fact]);
  }
});
