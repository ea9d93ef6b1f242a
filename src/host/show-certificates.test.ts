import { FakeAgent, FakeClock, FakeGateways, FakeStakeChain, RecordingLog } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { DaasError, gatewayErrorCode } from '#base';
import { createEventBus } from './events.ts';
import { showCertificates } from './show-certificates.ts';

const [kubelet, proxy, controller] = ['kubelet', 'kube-proxy', 'k3s-controller'];

function newScene() {
  const clock = new FakeClock();
  const log = new RecordingLog();
  const events = createEventBus(log);
  const agent = new FakeAgent();
  const chain = new FakeStakeChain(clock);
  const gateways = new FakeGateways(clock);
  const stop = new AbortController();
  const over = showCertificates({ agent, chain, gateways, events, clock, log, signal: stop.signal });
  const register = async (incarnation: number) => {
    const [gateway] = chain.gateways;
    events.emit('worker.registered', {
      nodeId: 'worker-1',
      recordId: '0xrecord',
      sealTokenId: '0xtoken',
      gatewayId: gateway?.id ?? '',
      gatewayUrl: gateway?.url ?? '',
      incarnation,
      heartbeatIntervalMs: 10_000,
      hasJoinCredential: true,
    });
    await clock.advance(0);
  };
  return {
    clock,
    log,
    events,
    agent,
    gateways,
    register,
    shown: () => gateways.shown.map(({ certificates }) => certificates),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await over;
    },
  };
}

test('the certificates are shown the moment they are there, and again when k3s has written others', async () => {
  await using scene = newScene();
  const { agent, clock, events, shown } = scene;
  await scene.register(1);
  expect(shown()).toEqual([]);
  agent.current = { kind: 'starting', pid: 1 };
  events.emit('agent.started', { pid: 1 });
  await clock.advance(200);
  agent.certificates = [String(kubelet)];
  await clock.advance(100);
  expect(shown()).toEqual([[kubelet]]);
  agent.certificates = [String(kubelet), String(proxy), String(controller)];
  await clock.advance(100);
  expect(shown().at(-1)).toEqual([kubelet, proxy, controller]);
  agent.current = { kind: 'ready', pid: 1 };
  await clock.advance(60_000);
  expect(shown()).toHaveLength(2);
  expect(scene.gateways.open).toBe(0);
});

test('a new registration shows them again: the gateway may be another one, or have lost them', async () => {
  await using scene = newScene();
  scene.agent.certificates = [String(kubelet)];
  await scene.register(1);
  await scene.register(2);
  expect(scene.shown()).toEqual([[kubelet], [kubelet]]);
});

test('a gateway that is away is asked again until it has seen them; one that refuses them is not asked often', async () => {
  await using scene = newScene();
  const { gateways, clock, log } = scene;
  scene.agent.certificates = [String(kubelet)];
  gateways.fail(new DaasError('DAAS_GATEWAY_UNREACHABLE', 'away', { isRetryable: true }));
  await scene.register(1);
  await clock.advance(60_000);
  expect(gateways.shown).toEqual([]);
  expect(log.messages('warn')).toHaveLength(1);
  gateways.forgive();
  await clock.advance(5_000);
  expect(scene.shown()).toEqual([[kubelet]]);
  gateways.fail(new DaasError(gatewayErrorCode('certificate_refused'), 'not yours'));
  scene.agent.certificates = [String(proxy)];
  const before = gateways.calls.length;
  await clock.advance(65_000);
  expect(gateways.calls.length - before).toBeLessThanOrEqual(4);
  // k3s has written others: those are shown at the next look.
  gateways.forgive();
  scene.agent.certificates = [String(kubelet), String(proxy), String(controller)];
  await clock.advance(5_000);
  expect(scene.shown().at(-1)).toEqual([kubelet, proxy, controller]);
  expect(scene.agent.shown.at(-1)).toEqual([kubelet, proxy, controller]);
});
