import { EventEmitter } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FakeAgent,
  FakeClock,
  FakeStakeChain,
  fakeRegistration,
  RecordingLog,
  settled,
} from 'k3s-daas/plugin/testing';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { DaasError } from '#base';
import { openJournal } from '#infrastructure';
import {
  AgentArguments,
  definePlugin,
  HostControl,
  JoinCredentialSource,
  type NodeEnding,
  type Registration,
  type SealedStake,
  SealTokenSource,
} from '#plugin';
import { createHost, type HostOptions } from './host.ts';

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'k3s-daas-host-'));
});
afterAll(() => rm(root, { recursive: true }));

const away = () => new DaasError('PLUGIN_AWAY', 'nobody answers', { isRetryable: true });
const slashed: NodeEnding = {
  status: 'slashed',
  cause: { kind: 'slashed', recordId: '0xrecord', detail: 'by vote' },
  source: 'chain',
};
const unbonding: NodeEnding = {
  status: 'unbonding',
  cause: { kind: 'ended', recordId: '0xrecord', detail: 'unbonding' },
  source: 'chain',
};
const sealed: SealedStake = { recordId: '0xrecord', tokenId: '0xtoken', stakeMist: 5n };

/** A host of two plugins that a test scripts, on a state directory of its own. */
function makeWorld(changes: Partial<HostOptions> & { stateDir?: string } = {}) {
  count += 1;
  const clock = new FakeClock();
  const log = new RecordingLog();
  const agent = new FakeAgent();
  const chain = new FakeStakeChain(clock);
  const signals = new EventEmitter();
  const script = {
    find: async (): Promise<SealedStake | undefined> => undefined,
    preflight: async (): Promise<void> => undefined,
    obtain: async (): Promise<SealedStake> => sealed,
    register: async (_signal: AbortSignal): Promise<Registration> => fakeRegistration(),
    health: { live: true, ready: true, detail: 'fine' },
  };
  const asked: string[] = [];
  const onOpen = { run: (): void => undefined };
  let control: HostControl | undefined;
  const released: string[] = [];
  const plugin = definePlugin({
    name: 'scripted',
    api: 1,
    config: z.strictObject({}),
    needs: { control: HostControl },
    setup(scope, needs) {
      control = needs.control;
      scope.provide(SealTokenSource, {
        find: () => {
          asked.push('find');
          return script.find();
        },
        obtain: (onPhase) => {
          asked.push('obtain');
          onPhase('stake');
          onPhase('seal');
          return script.obtain();
        },
      });
      scope.provide(JoinCredentialSource, {
        preflight: () => {
          asked.push('preflight');
          return script.preflight();
        },
        register: (_stake, signal) => {
          asked.push('register');
          return script.register(signal);
        },
      });
      scope.provide(AgentArguments, { agentArguments: () => ['--node-label=a=b'] });
      scope.health(() => script.health);
      scope.release('plugin', () => released.push('plugin'));
    },
  });
  const stateDir = changes.stateDir ?? join(root, `state-${count}`);
  const options: HostOptions = {
    nodeId: 'worker-1',
    plugins: [{ use: 'scripted' }],
    builtIns: { scripted: async () => plugin },
    pluginDirectory: root,
    joinDeadlineMs: 300_000,
    log,
    clock,
    random: () => 1,
    signals,
    prepare: async ({ life }) => {
      life.defer('services', () => released.push('services'));
      return {
        agent,
        async open() {
          onOpen.run();
          return { chain, bindings: [] };
        },
      };
    },
    ...changes,
    stateDir,
  };
  const host = createHost(options);
  const phases: string[] = [];
  host.events.on('phase.entered', ({ phase }) => phases.push(phase));
  const arrived = (phase: string) =>
    vi.waitFor(() => expect(phases.at(-1)).toBe(phase), { timeout: 5_000, interval: 5 });
  return {
    clock,
    log,
    agent,
    chain,
    signals,
    script,
    onOpen,
    asked,
    released,
    stateDir,
    host,
    phases,
    arrived,
    control: () => control as HostControl,
    latch: async () =>
      JSON.parse(await readFile(join(stateDir, 'latch.json'), 'utf8')) as Record<string, unknown>,
  };
}

test('a host stakes, seals, registers, runs, and ends with 0 when asked to stop, everything undone in reverse', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  expect(world.agent.starts).toEqual([
    expect.objectContaining({
      join: expect.objectContaining({ server: 'https://server.example.com:6443' }),
      taints: ['k3s-daas.io/staked=standard:NoSchedule'],
      arguments: ['--node-label=a=b'],
    }),
  ]);
  expect(world.asked).toEqual(['find', 'preflight', 'obtain', 'register']);
  expect(world.host.health()).toMatchObject({ started: true, live: true, ready: true });
  world.signals.emit('SIGTERM');
  expect(await ended).toEqual({ exitCode: 0, error: undefined });
  expect(world.phases).toEqual([
    'configure',
    'preflight',
    'stake',
    'seal',
    'register',
    'run',
    'drain',
    'stop',
  ]);
  expect(world.agent.calls).toEqual(['preflight', 'start', 'stop', 'dispose']);
  expect(world.released).toEqual(['plugin', 'services']);
  expect(world.signals.listenerCount('SIGTERM')).toBe(0);
  expect(world.clock.sleepers).toBe(0);
  expect(world.log.records.at(-1)?.fields).toMatchObject({ event: 'host.ended', exitCode: 0 });
});

test('the gateway is not asked for permission when the stake stands already', async () => {
  const world = makeWorld();
  world.script.find = async () => sealed;
  const ended = world.host.run();
  await world.arrived('run');
  expect(world.asked).toEqual(['find', 'obtain', 'register']);
  world.host.stop('test');
  await ended;
});

test('a refusal before money moves ends the host, and nothing was staked or started', async () => {
  const world = makeWorld();
  world.script.preflight = async () => {
    throw new DaasError('PLUGIN_NAME_NOT_OURS', 'the name is taken', { exitCode: 78 });
  };
  const { exitCode, error } = await world.host.run();
  expect(exitCode).toBe(78);
  expect(error).toMatchObject({
    code: 'PLUGIN_NAME_NOT_OURS',
    message: 'scripted(JoinCredentialSource): the name is taken',
  });
  expect(world.asked).toEqual(['find', 'preflight']);
  expect(world.agent.starts).toEqual([]);
});

test('what may pass is asked again after growing delays', async () => {
  const world = makeWorld();
  let failures = 3;
  world.script.register = async () => {
    failures -= 1;
    if (failures >= 0) throw away();
    return fakeRegistration();
  };
  const ended = world.host.run();
  await world.arrived('register');
  await world.clock.advance(500 + 1_000 + 2_000);
  await world.arrived('run');
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(4);
  world.host.stop('test');
  await ended;
});

test('who refuses for now may say for how long', async () => {
  const world = makeWorld();
  let answers = 0;
  world.script.register = async () => {
    answers += 1;
    if (answers > 1) return fakeRegistration();
    throw new DaasError('PLUGIN_BUSY', 'busy', { isRetryable: true, details: { retryAfterMs: 30_000 } });
  };
  const ended = world.host.run();
  await vi.waitFor(() => expect(answers).toBe(1));
  await world.clock.advance(29_000);
  expect(answers).toBe(1);
  await world.clock.advance(1_000);
  await world.arrived('run');
  world.host.stop('test');
  await ended;
});

test('a join that does not come about by its deadline ends with 75 and the last reason', async () => {
  const world = makeWorld({ joinDeadlineMs: 30_000 });
  world.script.register = async () => {
    throw away();
  };
  const ended = world.host.run();
  await world.arrived('register');
  await world.clock.advance(30_000);
  const { exitCode, error } = await ended;
  expect(exitCode).toBe(75);
  expect(error).toMatchObject({
    code: 'DAAS_JOIN_DEADLINE',
    message: expect.stringContaining('nobody answers'),
  });
});

test('a trouble that has passed is not named as the reason of a later one', async () => {
  const world = makeWorld();
  world.agent.becomesReady = false;
  let times = 0;
  world.script.find = async () => {
    times += 1;
    if (times === 1) throw away();
    return sealed;
  };
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked).toEqual(['find']));
  await vi.waitFor(() => expect(world.clock.sleepers).toBe(2));
  await world.clock.advance(500);
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(1));
  await world.clock.advance(300_000);
  expect((await ended).error?.message).toMatch(/the agent did not become Ready$/);
});

test('an agent that never becomes Ready ends with 75 and is stopped', async () => {
  const world = makeWorld({ joinDeadlineMs: 30_000 });
  world.agent.becomesReady = false;
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(1));
  await world.clock.advance(30_000);
  expect((await ended).exitCode).toBe(75);
  expect(world.agent.calls).toContain('stop');
});

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

test('a latch holds when the chain does not answer, and when its file is damaged', async () => {
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

test('a node that is refused for good at its start leaves nothing of an earlier life running, nor the word that it joined', async () => {
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

test('registering again leaves the running agent alone unless it needs the join credential that comes back', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.script.register = async () => fakeRegistration({ join: undefined });
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.asked.filter((what) => what === 'register')).toHaveLength(2));
  expect(world.agent.starts).toHaveLength(1);
  await world.clock.advance(1);
  world.script.register = async () => fakeRegistration();
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.asked.filter((what) => what === 'register')).toHaveLength(3));
  await settled();
  expect(world.agent.starts).toHaveLength(1);
  await world.clock.advance(1);
  world.agent.isInNeed = true;
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('a credential that the agent did not need is kept until the server refuses it', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.control().reregister('told to');
  await vi.waitFor(() => expect(world.asked.filter((what) => what === 'register')).toHaveLength(2));
  await settled();
  expect(world.agent.starts).toHaveLength(1);
  world.agent.current = { kind: 'starting', pid: 1 };
  world.agent.isInNeed = true;
  world.host.events.emit('agent.refused', { pid: 1, reason: 'not authorized', hadJoinCredential: false });
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  expect(world.agent.starts[1]?.join).toBeDefined();
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(2);
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('a joined host is degraded while a plugin is not ready, and says what the plugin says', async () => {
  const world = makeWorld();
  const details: unknown[] = [];
  world.host.events.on('phase.entered', (fact) => details.push(fact));
  const ended = world.host.run();
  await world.arrived('run');
  world.script.health = { live: true, ready: false, detail: 'the chain does not answer' };
  await world.clock.advance(1_000);
  expect(details.at(-1)).toEqual({ phase: 'degraded', detail: 'scripted: the chain does not answer' });
  expect(world.host.health()).toMatchObject({ live: true, ready: false });
  world.script.health = { live: true, ready: true, detail: 'fine' };
  await world.clock.advance(1_000);
  expect(world.phases.at(-1)).toBe('run');
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('the host tells of the end of a stake, whichever plugin learns of it', async () => {
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

test('a refusal while the agent runs degrades the host and ends nothing', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.script.register = async () => {
    throw new DaasError('PLUGIN_REFUSED', 'not now');
  };
  world.control().reregister('told to');
  await world.arrived('degraded');
  world.script.register = async () => fakeRegistration({ join: undefined });
  world.control().reregister('told to');
  await world.arrived('run');
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that the server refuses gets a fresh credential', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.current = { kind: 'starting', pid: 1 };
  world.agent.isInNeed = true;
  let answers = 0;
  world.script.register = async () => {
    answers += 1;
    return fakeRegistration(answers < 2 ? { join: undefined } : {});
  };
  world.host.events.emit('agent.refused', { pid: 1, reason: 'not authorized', hadJoinCredential: false });
  await vi.waitFor(() => expect(world.clock.sleepers).toBe(1));
  await world.clock.advance(10_000);
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  world.host.stop('test');
  await ended;
});

test('a node that joined before starts on its certificates when gateway and chain are silent, and registers later', async () => {
  const first = makeWorld();
  const ended = first.host.run();
  await first.arrived('run');
  first.host.stop('test');
  await ended;

  const world = makeWorld({ stateDir: first.stateDir });
  world.script.find = async () => {
    throw away();
  };
  const running = world.host.run();
  await vi.waitFor(() => expect(world.asked).toEqual(['find']));
  await world.clock.advance(20_000);
  await world.arrived('degraded');
  expect(world.agent.starts).toEqual([
    expect.objectContaining({ join: undefined, taints: ['k3s-daas.io/staked=standard:NoSchedule'] }),
  ]);
  // Long after the join deadline it still asks, and the node is still there.
  await world.clock.advance(600_000);
  world.script.find = async () => sealed;
  world.script.register = async () => fakeRegistration({ join: undefined });
  await world.clock.advance(20_000);
  await world.arrived('run');
  expect(world.agent.starts).toHaveLength(1);
  world.host.stop('test');
  expect((await running).exitCode).toBe(0);
});

/** A world whose state directory knows of a join on the machine 'home'; the gateway's answer is awaited. */
async function joinedAtHome(machineId: string, changes: object = {}) {
  const world = makeWorld({ machineId });
  const journal = await openJournal(join(world.stateDir, 'journal.json'));
  const { nodeLabels, taints } = fakeRegistration();
  const joined = {
    recordId: '0xrecord',
    machineId: 'home',
    nodeId: 'worker-1',
    nodeLabels,
    taints,
    arguments: ['--node-label=a=b'],
    ...changes,
  };
  await journal.section('host').write('joined', joined);
  const answer = Promise.withResolvers<Registration>();
  world.script.register = () => answer.promise;
  return { ...world, answer };
}

test.each([
  ['a credential', fakeRegistration()],
  ['none', { ...fakeRegistration(), join: undefined }],
])(
  'on the machine of its last join the agent starts before chain and gateway have answered, and once, whether the gateway then sends %s',
  async (_what, registration) => {
    const world = await joinedAtHome('home');
    const ended = world.host.run();
    await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'), { timeout: 5_000 });
    expect(world.agent.starts).toEqual([expect.objectContaining({ join: undefined })]);
    world.answer.resolve(registration);
    await world.arrived('run');
    await settled();
    expect(world.agent.starts).toHaveLength(1);
    world.host.stop('test');
    expect((await ended).exitCode).toBe(0);
    expect(world.agent.starts).toHaveLength(1);
  },
);

test('on the machine of its last join the agent runs before chain, wallet and plugins are opened, with what plugins added then', async () => {
  const world = await joinedAtHome('home');
  world.answer.resolve(fakeRegistration());
  const atOpening = Promise.withResolvers<readonly unknown[]>();
  world.onOpen.run = () => atOpening.resolve([...world.agent.calls]);
  const ended = world.host.run();
  expect(await atOpening.promise).toEqual(['preflight', 'start']);
  await world.arrived('run');
  expect(world.agent.starts).toEqual([expect.objectContaining({ arguments: ['--node-label=a=b'] })]);
  expect(world.agent.calls.filter((call) => call === 'preflight')).toHaveLength(1);
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that was started with what its plugins added before is started with what they add now, once', async () => {
  const world = await joinedAtHome('home', { arguments: ['--node-label=a=earlier'] });
  world.answer.resolve(fakeRegistration());
  const ended = world.host.run();
  await world.arrived('run');
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(2));
  expect(world.agent.starts.at(-1)).toMatchObject({ arguments: ['--node-label=a=b'] });
  const written = () => readFile(join(world.stateDir, 'journal.json'), 'utf8');
  await vi.waitFor(async () => expect(await written()).toContain('--node-label=a=b'), { timeout: 5_000 });
  world.host.stop('test');
  await ended;

  const again = makeWorld({ machineId: 'home', stateDir: world.stateDir });
  const running = again.host.run();
  await again.arrived('run');
  expect(again.agent.starts).toEqual([expect.objectContaining({ arguments: ['--node-label=a=b'] })]);
  again.host.stop('test');
  await running;
});

test('a join that was made under another node id starts no agent before the gateway has answered', async () => {
  const world = await joinedAtHome('home', { nodeId: 'worker-2' });
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'), { timeout: 5_000 });
  await settled();
  expect(world.agent.starts).toEqual([]);
  world.host.stop('test');
  await ended;
});

test('an agent that was started at once is stopped when the rest cannot be opened', async () => {
  const world = await joinedAtHome('home');
  world.onOpen.run = () => {
    throw new DaasError('DAAS_WALLET_MISSING', 'no wallet', { exitCode: 78 });
  };
  expect(await world.host.run()).toMatchObject({ exitCode: 78 });
  expect(world.agent.calls).toEqual(['preflight', 'start', 'dispose']);
});

test('a state directory that was copied to another machine starts no agent before the gateway has answered', async () => {
  const world = await joinedAtHome('elsewhere');
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  await settled();
  expect(world.agent.starts).toEqual([]);
  world.answer.resolve(fakeRegistration());
  await world.arrived('run');
  expect(world.agent.starts).toHaveLength(1);
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that started on its certificates is stopped for good when its stake turns out to have ended', async () => {
  const world = await joinedAtHome('home');
  world.script.find = async () => {
    throw new DaasError('DAAS_STAKE_NOT_ACTIVE', 'slashed', { exitCode: 77 });
  };
  expect(await world.host.run()).toMatchObject({ exitCode: 77 });
  expect(world.agent.starts).toHaveLength(1);
  expect(world.agent.calls).toContain('stopForGood');
});

test('an agent that started with the labels of its last join is started with those that the gateway gives now', async () => {
  const world = await joinedAtHome('home');
  const ended = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  world.answer.resolve({ ...fakeRegistration(), join: undefined, nodeLabels: { tier: 'other' } });
  await world.arrived('run');
  expect(world.agent.starts).toHaveLength(2);
  expect(world.agent.starts.at(-1)).toMatchObject({ nodeLabels: { tier: 'other' } });
  world.host.stop('test');
  expect((await ended).exitCode).toBe(0);
});

test('an agent that has started without its gateway is started once, whatever the gateway gives later', async () => {
  const first = makeWorld();
  const ended = first.host.run();
  await first.arrived('run');
  first.host.stop('test');
  await ended;

  const world = makeWorld({ stateDir: first.stateDir });
  const answer = Promise.withResolvers<Registration>();
  world.script.register = () => answer.promise;
  const running = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  await world.clock.advance(20_000);
  await world.arrived('degraded');
  answer.resolve(fakeRegistration());
  await world.arrived('run');
  await world.clock.advance(60_000);
  expect(world.agent.starts).toEqual([expect.objectContaining({ join: undefined })]);
  world.host.stop('test');
  expect((await running).exitCode).toBe(0);
});

test('an agent that is refused while the host still registers does not register beside it', async () => {
  const first = makeWorld();
  const ended = first.host.run();
  await first.arrived('run');
  first.host.stop('test');
  await ended;

  const world = makeWorld({ stateDir: first.stateDir });
  const answer = Promise.withResolvers<Registration>();
  world.script.register = () => answer.promise;
  world.agent.becomesReady = false;
  const running = world.host.run();
  await vi.waitFor(() => expect(world.asked.at(-1)).toBe('register'));
  await world.clock.advance(20_000);
  await vi.waitFor(() => expect(world.agent.starts).toHaveLength(1));
  world.host.events.emit('agent.refused', { pid: 1, reason: 'not authorized', hadJoinCredential: false });
  await settled();
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(1);
  world.agent.isInNeed = true;
  world.agent.becomesReady = true;
  answer.resolve(fakeRegistration());
  await world.arrived('run');
  await world.clock.advance(60_000);
  expect(world.asked.filter((what) => what === 'register')).toHaveLength(1);
  expect(world.agent.starts).toHaveLength(2);
  world.host.stop('test');
  await running;
});

test('an agent that is given up ends the host with the exit code of its error', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.giveUp(new DaasError('DAAS_AGENT_CRASHING', 'it crashes'));
  expect(await ended).toMatchObject({ exitCode: 1, error: { code: 'DAAS_AGENT_CRASHING' } });
});

test('a second host on the same directory is refused', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  const second = makeWorld({ stateDir: world.stateDir });
  expect((await second.host.run()).error).toMatchObject({ code: 'DAAS_LOCK_HELD' });
  world.host.stop('test');
  await ended;
});

test('asked to stop before anything was started, it ends with 0', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  world.signals.emit('SIGINT');
  expect((await ended).exitCode).toBe(0);
  expect(world.agent.starts).toEqual([]);
});

test('a second signal does not wait for an agent that takes its time', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.stopping = new Promise(() => undefined);
  world.signals.emit('SIGTERM');
  await world.arrived('drain');
  world.signals.emit('SIGTERM');
  expect((await ended).exitCode).toBe(1);
  expect(world.agent.calls).toContain('stop at once');
});

test('a drain that takes longer than its deadline ends, and leaves no agent behind', async () => {
  const world = makeWorld({ drainDeadlineMs: 7_000 });
  const ended = world.host.run();
  await world.arrived('run');
  world.agent.stopping = new Promise(() => undefined);
  world.signals.emit('SIGTERM');
  await world.arrived('drain');
  await world.clock.advance(7_000);
  expect((await ended).exitCode).toBe(1);
  expect(world.agent.calls).toContain('stop at once');
});

test('a first signal does not hurry a host that is ending by itself', async () => {
  const world = makeWorld();
  const ended = world.host.run();
  await world.arrived('run');
  const stopped = Promise.withResolvers<void>();
  world.agent.stopping = stopped.promise;
  world.agent.giveUp(new DaasError('DAAS_AGENT_CRASHING', 'it crashes'));
  await world.arrived('drain');
  world.signals.emit('SIGTERM');
  await settled();
  expect(world.phases.at(-1)).toBe('drain');
  stopped.resolve();
  expect(await ended).toMatchObject({ exitCode: 1, error: { code: 'DAAS_AGENT_CRASHING' } });
});
