import { systemClock } from '#base';
import { openStateObjects, STATE_LEASE, STATE_NAMESPACE, setupCluster } from '#cluster';
import type { StateObjects } from '#domain';
import { type KubernetesState, openKubernetesState } from '#state';
import type { EngineSite } from '../../src/state/engine.fixture.ts';
import { type Caller, callerOf } from '../standin/kubernetes-calls.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';

export const stateSecrets = `/api/v1/namespaces/${STATE_NAMESPACE}/secrets`;
const leases = `/apis/coordination.k8s.io/v1/namespaces/${STATE_NAMESPACE}/leases`;
export const stateLease = `${leases}/${STATE_LEASE}`;

/** The state of a cluster that was set up, reached with the gateway's own rights. */
export interface KubernetesSite {
  readonly admin: Caller;
  /** The kubeconfig that setup has made for the gateway. */
  readonly kubeconfig: string;
  /** Forgets the state, and who leads. */
  clear(): Promise<void>;
  /** By way of `url`, unless straight. */
  objects(url?: string): StateObjects;
  open(
    name: string,
    options?: { readonly url?: string; readonly leaseSeconds?: number },
  ): Promise<KubernetesState>;
}

export async function setUpSite(world: KubernetesWorld): Promise<KubernetesSite> {
  const admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
  const setup = await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
  const kubeconfig = setup.kubeconfig?.reveal() ?? '';
  const objects = (url = world.url) =>
    openStateObjects({ kubeconfig: { text: kubeconfig.replace(/server: \S+/, `server: ${url}`) } });
  return {
    admin,
    kubeconfig,
    objects,
    async clear() {
      const { object } = await admin('GET', stateSecrets);
      for (const { metadata } of object.items ?? [])
        await admin('DELETE', `${stateSecrets}/${metadata.name}`);
      await admin('DELETE', stateLease);
      await admin('POST', leases, { metadata: { name: STATE_LEASE } });
    },
    open: (name, { url, leaseSeconds = 5 } = {}) =>
      openKubernetesState({ objects: objects(url), name, leaseSeconds, clock: systemClock }),
  };
}

/** Engines of one gateway after the other, each of which leads. */
export async function kubernetesSite(site: KubernetesSite): Promise<EngineSite> {
  await site.clear();
  return {
    async open() {
      const { engine, leadership } = await site.open('gateway');
      await leadership.untilLeading(AbortSignal.timeout(20_000));
      return engine;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
