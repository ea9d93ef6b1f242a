import { expect, test } from 'vitest';
import { Secret } from '#base';
import type { AgentStart, AgentSupervisor } from '#plugin';
import { guardedAgent } from './guarded-agent.ts';

/** An agent that only notes its starts; anything else is no part of these tests. */
function noting(): { readonly agent: AgentSupervisor; readonly started: AgentStart[] } {
  const started: AgentStart[] = [];
  const start: AgentSupervisor['start'] = async (request) => {
    started.push(request);
  };
  return { agent: { start } as AgentSupervisor, started };
}

const joinWith = (id: string): AgentStart => ({
  join: { server: 'https://server:6443', token: new Secret(id), expiresAtMs: 1_000 },
  nodeLabels: {},
  taints: [],
  arguments: [],
});
const { signal } = new AbortController();

test('a start whose check takes longer than a newer start does not replace it', async () => {
  const { agent, started } = noting();
  const checks = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const waiting = checks.map(({ promise }) => promise);
  const guarded = guardedAgent(agent, () => waiting.shift() ?? Promise.resolve());
  const older = guarded.start(joinWith('older'), signal);
  const newer = guarded.start(joinWith('newer'), signal);
  checks[1].resolve();
  await newer;
  checks[0].resolve();
  await expect(older).rejects.toMatchObject({ code: 'DAAS_AGENT_REPLACED' });
  expect(started).toHaveLength(1);
});

test('nor does it replace one on certificates, which needs no check', async () => {
  const { agent, started } = noting();
  const check = Promise.withResolvers<void>();
  const guarded = guardedAgent(agent, () => check.promise);
  const older = guarded.start(joinWith('older'), signal);
  await guarded.start({ ...joinWith('newer'), join: undefined }, signal);
  check.resolve();
  await expect(older).rejects.toMatchObject({ code: 'DAAS_AGENT_REPLACED' });
  expect(started).toHaveLength(1);
});

test('a credential that is refused starts nothing', async () => {
  const { agent, started } = noting();
  const guarded = guardedAgent(agent, () => Promise.reject(new Error('another CA')));
  await expect(guarded.start(joinWith('refused'), signal)).rejects.toThrow('another CA');
  expect(started).toEqual([]);
});
