import { join } from 'node:path';
import { spkiPin } from '#api';
import { silentLog, systemClock } from '#base';
import { type Change, createStore, openSqliteEngine } from '#state';
import { FakeChain, FakeKubernetes } from '#testing';
import type { RunnableGatewayConfig } from '../src/gateway/config.ts';
import { type RunningGateway, startGateway } from '../src/gateway/gateway.ts';
import type { GatewayOptions } from '../src/gateway/gateway-parts.ts';
import { CLUSTER_ID, GATEWAY_ID, STAKER } from '../src/gateway/ids.fixture.ts';
import { settingsIn } from '../src/gateway/settings.fixture.ts';
import { toStored, workerKey } from '../src/gateway/stored-worker.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';

/** A whole gateway that can be started, on a chain and a cluster in memory. */
export interface BenchGateway {
  readonly config: RunnableGatewayConfig;
  readonly chain: FakeChain;
  readonly kubernetes: FakeKubernetes;
  /** For a measurement that needs some of its parts alone. */
  readonly options: GatewayOptions;
  start(): Promise<RunningGateway>;
}

/** Its files go into the directory; the settings are those that the measurement needs otherwise. */
export async function benchGateway(
  directory: string,
  tls: { readonly cert: string; readonly key: string },
  settings: object,
  clock = systemClock,
): Promise<BenchGateway> {
  const parsed = await settingsIn(directory, tls, settings);
  const config = { ...parsed, gatewayId: GATEWAY_ID };
  const chain = new FakeChain({ clock, clusterId: CLUSTER_ID, staker: STAKER });
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
  const kubernetes = new FakeKubernetes(clock);
  const parts = { chain, follower: chain, kubernetes, clock, log: silentLog };
  const options: GatewayOptions = { config, clusterId: CLUSTER_ID, ...parts };
  return { config, chain, kubernetes, options, start: () => startGateway(options) };
}

/** What `FakeChain.stake` needs of a worker that sends nothing. */
const silentKey = new Uint8Array(32).fill(7);

/** Members that send nothing, with stake, Node and listed name, in the state of a gateway that is not started yet. */
export async function storeMembers(
  { config, chain, kubernetes }: Pick<BenchGateway, 'config' | 'chain' | 'kubernetes'>,
  count: number,
  prefix = 'worker',
): Promise<void> {
  await using store = createStore(openSqliteEngine(join(config.stateDir, 'gateway.db')));
  let changes: Change[] = [];
  for (let index = 0; index < count; index += 1) {
    const nodeId = `${prefix}-${index}`;
    const { recordId, tokenId } = chain.stake(nodeId, silentKey, { announce: false });
    kubernetes.addNode(nodeId, { stakeRecordId: recordId });
    kubernetes.names.set(nodeId, 'basic');
    const member = aWorker({ nodeId, recordId, tokenId, registeredAtMs: Date.now() });
    changes.push({ key: workerKey(nodeId), value: toStored(member, undefined) });
    if (changes.length < 1_000 && index + 1 < count) continue;
    await store.write(changes);
    changes = [];
  }
}
