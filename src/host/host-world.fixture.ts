import { EventEmitter } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FakeAgent,
  FakeClock,
  FakeStakeChain,
  fakeRegistration,
  RecordingLog,
} from 'k3s-daas/plugin/testing';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { z } from 'zod';
import { DaasError } from '#base';
import {
  AgentArguments,
  definePlugin,
  HostClock,
  HostControl,
  JoinCredentialSource,
  type NodeEnding,
  type Registration,
  type SealedStake,
  SealTokenSource,
  StakeChain,
} from '#plugin';
import { createHost, type HostOptions } from './host.ts';
import { HostAgent, HostLife, HostLog, HostRandom, hostParts } from './parts.ts';

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'k3s-daas-host-'));
});
afterAll(() => rm(root, { recursive: true }));

export const away = () => new DaasError('PLUGIN_AWAY', 'nobody answers', { isRetryable: true });
export const slashed: NodeEnding = {
  status: 'slashed',
  cause: { kind: 'slashed', recordId: '0xrecord', detail: 'by vote' },
  source: 'chain',
};
export const unbonding: NodeEnding = {
  status: 'unbonding',
  cause: { kind: 'ended', recordId: '0xrecord', detail: 'unbonding' },
  source: 'chain',
};
export const sealed: SealedStake = { recordId: '0xrecord', tokenId: '0xtoken', stakeMist: 5n };

/** A host of two plugins that a test scripts, on a state directory of its own. */
export function makeWorld(changes: Partial<HostOptions> & { stateDir?: string } = {}) {
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
    signals,
    parts: hostParts()
      .register(HostLog, () => log)
      .register(HostClock, () => clock)
      .register(HostRandom, () => () => 1)
      .register(HostAgent, (parts) => {
        parts.get(HostLife).defer('services', () => released.push('services'));
        return agent;
      })
      .register(StakeChain, () => {
        onOpen.run();
        return chain;
      }),
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
