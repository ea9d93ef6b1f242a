import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FakeAgent,
  FakeClock,
  FakeGateways,
  FakeStakeChain,
  fakeIdentity,
  fakeRegistration,
  RecordingLog,
} from 'k3s-daas/plugin/testing';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HostAgent } from '#host';
import { GatewayConnector, HostClock, NodeIdentity, StakeChain } from '#plugin';
import { createAgentHost } from './agent-host.ts';
import { agentParts } from './agent-parts.ts';
import { loadWorkerSettings } from './settings.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-agent-host-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** The program as an operator configures it: the parts of its composition root, and no wallet, chain or k3s behind them. */
async function configured() {
  const file = join(directory, 'config.json');
  const settings = {
    nodeId: 'worker-1',
    stateDir: join(directory, 'state'),
    chain: { endpoints: ['http://127.0.0.1:9'], deployment: join(directory, 'none.json') },
    wallet: { keyFile: join(directory, 'none.key') },
    stake: { amountMist: '5000', acceptTerms: 'any' },
    health: { port: 0 },
  };
  await writeFile(file, JSON.stringify(settings));
  const loaded = await loadWorkerSettings({ file, env: {} });
  const log = new RecordingLog();
  return { settings: loaded, log, parts: agentParts(loaded, { log, args: [] }) };
}

test('chain, agent, clock and connector are replaced by registering others: the built-in plugins join on them', async () => {
  const { settings, log, parts } = await configured();
  const clock = new FakeClock();
  const agent = new FakeAgent();
  const chain = new FakeStakeChain(clock);
  const gateways = new FakeGateways(clock);
  gateways.registration = fakeRegistration({ heartbeatIntervalMs: 10_000 });
  parts
    .register(HostClock, () => clock)
    .register(HostAgent, () => agent)
    .register(StakeChain, () => chain)
    .register(NodeIdentity, () => fakeIdentity())
    .register(GatewayConnector, () => gateways);
  const host = await createAgentHost(settings, parts, { signals: undefined });
  const phases: string[] = [];
  host.events.on('phase.entered', ({ phase }) => phases.push(phase));
  const ended = host.run();
  await vi.waitFor(() => expect(phases.at(-1)).toBe('run'), { timeout: 5_000 });
  await vi.waitFor(() => expect(gateways.heartbeats).toHaveLength(1));
  await clock.advance(10_000);
  await vi.waitFor(() => expect(gateways.heartbeats).toHaveLength(2));
  expect(phases).toEqual(['configure', 'preflight', 'stake', 'seal', 'register', 'run']);
  expect(agent.starts).toHaveLength(1);
  expect(gateways.registrations).toHaveLength(1);
  expect(log.records.find(({ fields }) => fields.event === 'host.started')?.fields).toMatchObject({
    healthUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
  });
  host.stop('test');
  expect(await ended).toEqual({ exitCode: 0, error: undefined });
});

test('a part that cannot be made ends the host with the error of its factory, and what was opened before is released', async () => {
  const { settings, parts } = await configured();
  const agent = new FakeAgent();
  parts.register(HostAgent, () => agent);
  const host = await createAgentHost(settings, parts, { signals: undefined });
  const { exitCode, error } = await host.run();
  expect({ exitCode, error }).toMatchObject({
    exitCode: 78,
    error: { code: expect.stringMatching(/^DAAS_/) },
  });
  expect(error?.message).toContain(directory);
  expect(agent.calls).toEqual(['dispose']);
});
