import { spkiPin } from '#api';
import { silentLog, systemClock } from '#base';
import { FakeChain, FakeKubernetes } from '#testing';
import type { RunnableGatewayConfig } from '../src/gateway/config.ts';
import { type RunningGateway, startGateway } from '../src/gateway/gateway.ts';
import { CLUSTER_ID, GATEWAY_ID, STAKER } from '../src/gateway/ids.fixture.ts';
import { settingsIn } from '../src/gateway/settings.fixture.ts';

/** A whole gateway that can be started, on a chain and a cluster in memory. */
export interface BenchGateway {
  readonly config: RunnableGatewayConfig;
  readonly chain: FakeChain;
  readonly kubernetes: FakeKubernetes;
  start(): Promise<RunningGateway>;
}

/** Its files go into the directory; the settings are those that the measurement needs otherwise. */
export async function benchGateway(
  directory: string,
  tls: { readonly cert: string; readonly key: string },
  settings: object,
): Promise<BenchGateway> {
  const parsed = await settingsIn(directory, tls, settings);
  const config = { ...parsed, gatewayId: GATEWAY_ID };
  const chain = new FakeChain({ clock: systemClock, clusterId: CLUSTER_ID, staker: STAKER });
  chain.gateways = [
    {
      id: GATEWAY_ID,
      url: 'https://127.0.0.1:1',
      tlsPins: [spkiPin(tls.cert)],
      attestationKind: 'none',
      measurement: new Uint8Array(),
      signingKey: new Uint8Array(32),
      tier: 'basic',
      isLive: true,
    },
  ];
  const kubernetes = new FakeKubernetes(systemClock);
  const parts = { chain, follower: chain, kubernetes, clock: systemClock, log: silentLog };
  return {
    config,
    chain,
    kubernetes,
    start: () => startGateway({ config, clusterId: CLUSTER_ID, ...parts }),
  };
}
