import { systemClock } from '#base';
import type { StateEngine } from '#domain';
import { openEtcdState, openKubernetesState } from '#state';
import type { World } from '../../src/gateway/world.fixture.ts';
import { suiteWorld } from '../suite-world.ts';
import { type EtcdServer, startEtcd } from './etcd-server.ts';
import { setUpSite } from './kubernetes-site.ts';

/** A real store that the gateways of a fleet share. */
export interface ChaosEngine extends AsyncDisposable {
  /** What the wire of each gateway leads to. */
  readonly url: string;
  /** Begins a fleet on a state with nothing in it. */
  begin(prefix: string): Promise<void>;
  /** `gateway.state` of a gateway that reaches the store by `url`, and what else it needs. */
  gateway(prefix: string, url: string): { readonly state: object; readonly options: World['options'] };
  /** For a look beside the gateways. */
  look(prefix: string): Promise<StateEngine>;
}

export async function etcdChaos(): Promise<ChaosEngine> {
  const etcd: EtcdServer = await startEtcd();
  return {
    url: etcd.url,
    begin: () => Promise.resolve(),
    gateway: (prefix, url) => ({
      state: { engine: 'etcd', etcd: { endpoints: [url], prefix, leaseSeconds: 5 } },
      options: {},
    }),
    async look(prefix) {
      const place = { endpoints: [etcd.url], prefix };
      const candidate = { name: 'the test', leaseSeconds: 60, clock: systemClock, isCandidate: false };
      return (await openEtcdState({ ...place, ...candidate })).engine;
    },
    [Symbol.asyncDispose]: () => etcd[Symbol.asyncDispose](),
  };
}

/** On the API server of this project. */
export async function kubernetesChaos(): Promise<ChaosEngine> {
  const world = await suiteWorld.startKubernetes();
  const site = await setUpSite(world);
  return {
    url: world.url,
    begin: () => site.clear(),
    gateway: (_prefix, url) => ({
      state: { engine: 'kubernetes', kubernetes: { leaseSeconds: 5 } },
      options: { openStateObjects: () => site.objects(url.replace('http:', 'https:')) },
    }),
    async look() {
      const candidate = { name: 'the test', leaseSeconds: 60, clock: systemClock, isCandidate: false };
      return (await openKubernetesState({ objects: site.objects(), ...candidate })).engine;
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}
