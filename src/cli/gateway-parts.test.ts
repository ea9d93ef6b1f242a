import { FakeClock, FakeStakeChain, RecordingLog } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import type { Deployment } from '#chain';
import type { RunnableGatewayConfig } from '#gateway';
import {
  GatewayAgreement,
  GatewayChain,
  GatewayClock,
  GatewayEvidenceDesk,
  GatewayFigures,
  GatewayFollower,
  GatewayKubernetes,
  GatewayLog,
  GatewayMachines,
  GatewayProofs,
  GatewayRandom,
  GatewayStakedNodes,
  GatewayTenants,
  gatewayOptions,
  gatewayParts,
} from './gateway-parts.ts';

test('chain, follower, cluster and clock of a gateway are replaced by registering others: no kubeconfig is read, no chain is asked', async () => {
  const config = { kubeconfig: '/nowhere/kubeconfig' } as RunnableGatewayConfig;
  const log = new RecordingLog();
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const follower = { changes: async function* () {} } as never;
  const kubernetes = { policyState: async () => ({ kind: 'in-place' }) } as never;
  const parts = gatewayParts({
    config,
    deployment: { clusterId: '0xcluster' } as Deployment,
    access: { endpoints: ['http://127.0.0.1:9'] } as never,
    log,
  })
    .register(GatewayClock, () => clock)
    .register(GatewayChain, () => chain)
    .register(GatewayFollower, () => follower)
    .register(GatewayFigures, () => () => ({}))
    .register(GatewayAgreement, () => () => 2)
    .register(GatewayProofs, () => async () => ['0xa'])
    .register(GatewayStakedNodes, () => undefined)
    .register(GatewayTenants, () => undefined)
    .register(GatewayEvidenceDesk, () => undefined)
    .register(GatewayMachines, () => undefined)
    .register(GatewayKubernetes, () => kubernetes);
  const options = await gatewayOptions(parts, {
    config,
    clusterId: '0xcluster',
    endpoints: 1,
    isProven: true,
  });
  expect(options).toMatchObject({ config, clusterId: '0xcluster', endpoints: 1 });
  expect(options.endpointsAgreed?.()).toBe(2);
  expect(await options.takeProof?.('')).toEqual(['0xa']);
  expect([options.chain, options.follower, options.kubernetes, options.clock, options.log]).toEqual([
    chain,
    follower,
    kubernetes,
    clock,
    log,
  ]);
});

test('a part that is not replaced is made of those that are', async () => {
  const clock = new FakeClock();
  const parts = gatewayParts({
    config: { kubeconfig: '/nowhere/kubeconfig' } as RunnableGatewayConfig,
    deployment: {} as Deployment,
    access: {} as never,
    log: new RecordingLog(),
  })
    .register(GatewayClock, () => clock)
    .register(GatewayLog, () => new RecordingLog())
    .register(GatewayRandom, () => () => 0.5);
  expect(parts.get(GatewayRandom)()).toBe(0.5);
  await expect(parts.open(GatewayKubernetes)).rejects.toMatchObject({
    message: expect.stringContaining('/nowhere/kubeconfig'),
  });
});
