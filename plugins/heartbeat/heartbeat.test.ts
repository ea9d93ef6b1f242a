import { DaasError, gatewayErrorCode } from 'k3s-daas/plugin';
import { describePlugin, fakeIdentity, loadPlugin, unreachable } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { afterFailure, spreadMs } from './decide.ts';
import heartbeat from './index.ts';

type Loaded = Awaited<ReturnType<typeof loadPlugin>>;

function tellRegistered(
  loaded: Loaded,
  recordId: string,
  incarnation = 1,
  heartbeatIntervalMs = 10_000,
): void {
  const [gateway] = loaded.chain.gateways;
  loaded.emit('worker.registered', {
    nodeId: 'worker-1',
    recordId,
    sealTokenId: '0xtoken',
    gatewayId: gateway?.id ?? '',
    gatewayUrl: gateway?.url ?? '',
    incarnation,
    heartbeatIntervalMs,
    hasJoinCredential: true,
  });
}

async function registered(config: unknown = {}) {
  const loaded = await loadPlugin(heartbeat, { config });
  const recordId = loaded.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5000n });
  loaded.chain.addToken(recordId, fakeIdentity().holderKey);
  loaded.agent.current = { kind: 'ready', pid: 1 };
  tellRegistered(loaded, recordId);
  await loaded.clock.advance(0);
  return { loaded, recordId };
}

describePlugin(heartbeat, test, {
  badConfigs: [{ intervalMs: 1 }, { intervalMs: '10s' }, { every: 5 }],
  exercise: async (loaded) => {
    const recordId = loaded.chain.addRecord({ nodeId: 'worker-1', stakeMist: 5n });
    tellRegistered(loaded, recordId);
    await loaded.clock.advance(25_000);
  },
});

test('nothing is sent before the node is registered', async () => {
  await using loaded = await loadPlugin(heartbeat);
  await loaded.clock.advance(60_000);
  expect(loaded.gateways.calls).toEqual([]);
  expect(loaded.health().ready).toBe(false);
});

test('it tells state, pods and usage at the interval the gateway asked for, with a rising sequence', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  await loaded.clock.advance(20_000);
  expect(loaded.gateways.heartbeats.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(loaded.gateways.heartbeats[0]).toEqual({
    sealTokenId: '0xtoken',
    incarnation: 1,
    sequence: 1,
    stakeStatus: 'active',
    stakeMist: 5000n,
    agentState: 'ready',
    runningPods: 3,
    resourceUsage: { cpuPercent: 12, memoryPercent: 34, diskPercent: 56 },
  });
  expect(loaded.facts('heartbeat.acknowledged')).toHaveLength(3);
  expect(loaded.health().ready).toBe(true);
});

test.each([
  ['every millisecond', 1, 11, 10_000],
  ['at intervals that no timer takes', 2 ** 32, 1, 600_000],
])(
  'a gateway that asks for heartbeats %s gets them at a bearable pace',
  async (_what, intervalMs, beats, laterMs) => {
    const { loaded, recordId } = await registered();
    await using _ = loaded;
    tellRegistered(loaded, recordId, 2, intervalMs);
    await loaded.clock.advance(1_000);
    expect(loaded.gateways.heartbeats.filter(({ incarnation }) => incarnation === 2)).toHaveLength(beats);
    await loaded.clock.advance(laterMs);
    expect(loaded.gateways.heartbeats.length).toBeGreaterThan(beats + 1);
  },
);

test('a new registration is served at once, its sequence begins anew', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  tellRegistered(loaded, recordId, 2);
  await loaded.clock.advance(0);
  expect(loaded.gateways.heartbeats.map(({ incarnation, sequence }) => [incarnation, sequence])).toEqual([
    [1, 1],
    [2, 1],
  ]);
  expect(loaded.gateways.open).toBe(1);
});

test('while the host registers again no heartbeat of the old registration is sent', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  loaded.emit('registration.begun', { nodeId: 'worker-1' });
  await loaded.clock.advance(30_000);
  expect(loaded.gateways.heartbeats).toHaveLength(1);
  tellRegistered(loaded, recordId, 2);
  await loaded.clock.advance(0);
  expect(loaded.gateways.heartbeats.map(({ incarnation }) => incarnation)).toEqual([1, 2]);
  expect(loaded.facts('heartbeat.failed')).toEqual([]);
});

test('after a registration that failed, or that never ends, the heartbeats go on', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.emit('registration.begun', { nodeId: 'worker-1' });
  await loaded.clock.advance(30_000);
  loaded.emit('registration.failed', { nodeId: 'worker-1', error: { code: 'PLUGIN_AWAY', message: 'away' } });
  await loaded.clock.advance(0);
  expect(loaded.gateways.heartbeats.map(({ sequence }) => sequence)).toEqual([1, 2]);
  loaded.emit('registration.begun', { nodeId: 'worker-1' });
  await loaded.clock.advance(120_000);
  expect(loaded.gateways.heartbeats.at(-1)?.sequence).toBeGreaterThan(2);
});

test('the refusal of a heartbeat that was on its way when the host registered again does not count', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  const answer = Promise.withResolvers<never>();
  const connect = loaded.gateways.connect.bind(loaded.gateways);
  loaded.gateways.connect = (gateway) => ({
    ...connect(gateway),
    heartbeat: () => answer.promise,
  });
  tellRegistered(loaded, recordId, 2);
  await loaded.clock.advance(0);
  loaded.gateways.connect = connect;
  loaded.emit('registration.begun', { nodeId: 'worker-1' });
  answer.reject(new DaasError('DAAS_GATEWAY_SEAL_TOKEN_INVALID', 'registration 2 is over'));
  await loaded.clock.advance(1_000);
  tellRegistered(loaded, recordId, 3);
  await loaded.clock.advance(10_000);
  expect(loaded.facts('heartbeat.failed')).toEqual([]);
  expect(loaded.gateways.heartbeats.map(({ incarnation }) => incarnation)).toEqual([1, 3, 3]);
});

test('a 401 is a failure, not an answer: the host registers again after the second', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.fail(new DaasError('DAAS_GATEWAY_SEAL_TOKEN_INVALID', 'not valid'));
  await loaded.clock.advance(10_000);
  expect(loaded.facts('heartbeat.acknowledged')).toHaveLength(1);
  expect(loaded.facts('heartbeat.failed')).toEqual([
    { error: { code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID', message: 'not valid' } },
  ]);
  expect(loaded.control.reregistrations).toEqual([]);
  await loaded.clock.advance(10_000);
  expect(loaded.control.reregistrations).toHaveLength(1);
  expect(loaded.health()).toMatchObject({
    ready: false,
    details: { heartbeat: { detail: '2 heartbeats in a row failed: not valid' } },
  });
});

test('a gateway that is away for hours degrades the host and stops nothing; it is well again when it is back', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.fail(unreachable());
  await loaded.clock.advance(3 * 3_600_000);
  expect(loaded.control.stops).toEqual([]);
  expect(loaded.failures).toEqual([]);
  expect(loaded.health().ready).toBe(false);
  loaded.gateways.forgive();
  await loaded.clock.advance(10_000);
  expect(loaded.health().ready).toBe(true);
  const sequences = loaded.gateways.heartbeats.map(({ sequence }) => sequence);
  expect(sequences.at(-1)).toBeGreaterThan(sequences.at(-2) ?? 0);
});

test('a kept connection that was closed meanwhile costs no heartbeat: the next in the sequence goes out at once', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.failOnce(new DaasError('DAAS_GATEWAY_CONNECTION_LOST', 'closed', { isRetryable: true }));
  await loaded.clock.advance(10_000);
  expect(loaded.gateways.heartbeats.map(({ sequence }) => sequence)).toEqual([1, 3]);
  expect(loaded.facts('heartbeat.failed')).toEqual([]);
});

test('hosts that lost a gateway come back to it at different moments, within their interval', () => {
  const waits = Array.from({ length: 100 }, (_value, index) => spreadMs(10_000, `worker-${index}`, 1));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(5_000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(10_000);
  expect(new Set(waits.map((ms) => Math.floor(ms / 500))).size).toBe(10);
});

test('the first of several refused heartbeats is followed soon: a double on the same machine is found by the second', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  const refused = () => loaded.facts('heartbeat.failed').length;
  loaded.gateways.fail(new DaasError('DAAS_GATEWAY_SEAL_TOKEN_INVALID', 'refused'));
  await loaded.clock.advance(10_000);
  expect(refused()).toBe(1);
  await loaded.clock.advance(2_500);
  expect(refused()).toBe(2);
  await loaded.clock.advance(9_000);
  expect(refused()).toBe(2);
});

test('a chain that is away does not keep heartbeats from being sent', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.chain.isDown = true;
  await loaded.clock.advance(70_000);
  expect(loaded.gateways.heartbeats).toHaveLength(8);
  expect(loaded.gateways.heartbeats.at(-1)).toMatchObject({ stakeStatus: 'unknown' });
  loaded.chain.isDown = false;
  await loaded.clock.advance(20_000);
  expect(loaded.gateways.heartbeats.at(-1)).toMatchObject({ stakeStatus: 'active' });
});

test('the stake that heartbeats report is read once a minute', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  const before = loaded.chain.asked.records.length;
  await loaded.clock.advance(600_000);
  expect(loaded.gateways.heartbeats).toHaveLength(61);
  expect(loaded.chain.asked.records.length - before).toBe(10);
});

test('stop for a slash is followed only when the chain says so too', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  loaded.gateways.directives = [{ kind: 'stop', reason: 'slashed' }];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toEqual([]);
  expect(loaded.log.messages('warn')).toContain('A directive is not followed');
  loaded.chain.isDown = true;
  loaded.gateways.directives = [{ kind: 'stop', reason: 'slashed' }];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toEqual([]);
  loaded.chain.isDown = false;
  loaded.chain.slash(recordId);
  loaded.gateways.directives = [{ kind: 'stop', reason: 'slashed' }];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toMatchObject([
    { cause: { kind: 'slashed', recordId, detail: 'slashed: test' }, source: 'gateway and chain' },
  ]);
});

test('stop for what a slash left is followed without a latch, when the chain says too that it is less than the minimum', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  const directive = { kind: 'stop', reason: 'stake_short_after_slash' };
  const { minimumWorkerStakeMist } = loaded.chain.parameters;
  loaded.chain.change(recordId, { slashedMist: 1n, stakeMist: minimumWorkerStakeMist });
  loaded.gateways.directives = [directive];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toEqual([]);
  loaded.chain.change(recordId, { stakeMist: minimumWorkerStakeMist - 1n });
  loaded.gateways.directives = [directive];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toMatchObject([
    { cause: { kind: 'ended', recordId }, status: directive.reason, source: 'gateway and chain' },
  ]);
});

test.each(['evicted', 'banned'])(
  'stop because the operator %s the node is followed without a latch',
  async (reason) => {
    const { loaded, recordId } = await registered();
    await using _ = loaded;
    loaded.gateways.directives = [{ kind: 'stop', reason }];
    await loaded.clock.advance(10_000);
    const cause = { kind: 'ended', recordId, detail: `${reason} by the operator of the cluster` };
    expect(loaded.control.stops).toMatchObject([{ cause, status: reason, source: 'gateway' }]);
  },
);

test('stop because the node left the cluster is followed without a latch', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  loaded.gateways.directives = [{ kind: 'stop', reason: 'left' }];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toMatchObject([
    { cause: { kind: 'left', recordId }, status: 'left', source: 'gateway' },
  ]);
});

test('a ban that came of a slash is a slash', async () => {
  const { loaded, recordId } = await registered();
  await using _ = loaded;
  loaded.chain.slash(recordId);
  loaded.gateways.directives = [{ kind: 'stop', reason: 'banned' }];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toMatchObject([{ cause: { kind: 'slashed', recordId } }]);
});

test('a directive to register again is followed, and a node that the gateway no longer admits while its stake is good registers again', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.directives = [{ kind: 'reregister', reason: 'token_superseded' }];
  await loaded.clock.advance(10_000);
  loaded.gateways.directives = [{ kind: 'stop', reason: 'not_admitted' }];
  await loaded.clock.advance(10_000);
  expect(loaded.control.reregistrations).toHaveLength(2);
  expect(loaded.control.stops).toEqual([]);
});

test('a directive about the stake is an event: the plugin that keeps the stake decides', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.directives = [{ kind: 'rotate', reason: 'token_expired' }];
  await loaded.clock.advance(10_000);
  expect(loaded.facts('gateway.directive')).toEqual([{ directive: 'rotate', reason: 'token_expired' }]);
});

test('directives of a later version are ignored with a warning', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.directives = [
    { kind: 'dance', reason: 'soon' },
    { kind: 'stop', reason: 'because' },
  ];
  await loaded.clock.advance(10_000);
  expect(loaded.control.stops).toEqual([]);
  expect(loaded.log.messages('warn')).toEqual(['A directive is not followed', 'A directive is not followed']);
});

test('a notice is logged once, and once more when it is over', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.directives = [{ kind: 'notice', reason: 'slash_proposed' }];
  await loaded.clock.advance(10_000);
  await loaded.clock.advance(10_000);
  expect(loaded.log.messages('warn')).toEqual(['The gateway gives notice']);
  loaded.gateways.directives = [];
  await loaded.clock.advance(10_000);
  expect(loaded.log.messages('info')).toContain('A notice of the gateway is over');
  expect(loaded.control.stops).toEqual([]);
});

test('registering again is not repeated at every heartbeat', () => {
  const asked = (kind: 'refused' | 'silent') =>
    Array.from({ length: 25 }, (_value, index) => index + 1).filter(
      (inARow) => afterFailure(kind, inARow) === 'register-again',
    );
  expect(asked('refused')).toEqual([2, 12, 22]);
  expect(asked('silent')).toEqual([3, 13, 23]);
});

test('a gateway that is away for five minutes is told, and when it is back', async () => {
  const { loaded } = await registered();
  await using _ = loaded;
  loaded.gateways.fail(unreachable());
  await loaded.clock.advance(240_000);
  expect(loaded.facts('attention.needed')).toEqual([]);
  await loaded.clock.advance(120_000);
  expect(loaded.facts('attention.needed')[0]).toMatchObject({ kind: 'gateway_unreachable' });
  loaded.gateways.forgive();
  await loaded.clock.advance(20_000);
  expect(loaded.facts('attention.ended')).toEqual([{ kind: 'gateway_unreachable' }]);
});

test.each([
  [
    'a heartbeat',
    (loaded: Loaded) => loaded.gateways.failOnce(new DaasError(gatewayErrorCode('node_cloned'), 'cloned')),
  ],
  [
    'a registration',
    (loaded: Loaded) =>
      loaded.emit('registration.failed', {
        nodeId: 'worker-1',
        error: { code: gatewayErrorCode('node_cloned'), message: 'cloned' },
      }),
  ],
  [
    'a notice of the gateway',
    (loaded: Loaded) => {
      loaded.gateways.directives = [{ kind: 'notice', reason: 'node_cloned' }];
    },
  ],
])(
  'a clone that %s has shown is over with the next acknowledgement that does not repeat it',
  async (_what, show) => {
    const { loaded } = await registered();
    await using _ = loaded;
    show(loaded);
    await loaded.clock.advance(10_000);
    loaded.gateways.directives = [];
    await loaded.clock.advance(20_000);
    expect(loaded.facts('attention.ended')).toEqual([{ kind: 'clone_suspected' }]);
  },
);
