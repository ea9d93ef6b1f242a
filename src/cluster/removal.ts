import type { KubernetesObject } from '@kubernetes/client-node';
import { type Clock, type Log, silentLog, systemClock } from '#base';
import { type GatewayIdentity, namesHomes } from './gateway-rights.ts';
import { absentIsFine, type KubeApi, type KubeApiOptions, openKubeApi } from './kube-api.ts';
import { verbsOf } from './objects.ts';
import type { SetupChange } from './setup.ts';
import { setupObjects } from './setup-manifests.ts';
import { describeObject } from './setup-objects.ts';
import { STATE_NAMESPACE, STATE_TYPE } from './words.ts';

export interface RemovalOptions extends KubeApiOptions {
  readonly gateway?: GatewayIdentity;
  /** Reports what would be removed, and removes nothing. */
  readonly check?: boolean;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly signal?: AbortSignal;
}

/**
 * Removes what `setup` has written: the gateway's rights first, so that it decides nothing any more; then each policy's binding
 * before the policy; the names last, so that no running node is refused. Afterwards every certificate of the cluster may make
 * its Node again. Nodes, node passwords and join credentials stay, and so does a state that the cluster holds (`keep`): nothing
 * could bring its bans back. Idempotent; resolves with what was removed.
 */
export async function removeSetup(options: RemovalOptions): Promise<readonly SetupChange[]> {
  const { gateway = { kind: 'service-account' }, check = false } = options;
  const { clock = systemClock, log = silentLog, signal } = options;
  await using api = openKubeApi(options);
  const removed: SetupChange[] = [];
  // In the reverse order of setup: rights, bindings before their policies, namespaces with their names.
  for (const object of [...setupObjects(gateway, { stakedNodes: true })].reverse()) {
    if (!(await isThere(api, object, signal))) continue;
    if (isStateHome(object) && (await holdsState(api, signal))) {
      removed.push({ action: 'keep', what: describeObject(object), why: whyKept });
      continue;
    }
    const change = { action: 'remove', what: describeObject(object), why: 'setup has written it' } as const;
    if (!check) {
      await remove(api, object, signal);
      log.info('Changed the cluster', { action: change.action, detail: change.what, reason: change.why });
    }
    removed.push(change);
  }
  if (!check) await untilHomesAreGone({ api, clock, signal });
  return removed;
}

type Signal = AbortSignal | undefined;

interface Removal {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly signal: Signal;
}

const homesGoneMs = 60_000;

const whyKept = `it holds the state of the gateways, with their bans. Back it up ('k3s-daas gateway state backup'), then 'kubectl delete namespace ${STATE_NAMESPACE}' removes it`;

const isStateHome = ({ kind, metadata }: KubernetesObject) =>
  kind === 'Namespace' && metadata?.name === STATE_NAMESPACE;

async function holdsState(api: KubeApi, signal: Signal): Promise<boolean> {
  const ours = { namespace: STATE_NAMESPACE, fieldSelector: `type=${STATE_TYPE}`, limit: 1 };
  const { items } = await api.call(
    'look for a state',
    (given) => api.core.listNamespacedSecret(ours, given),
    {
      signal,
    },
  );
  return items.length > 0;
}

async function isThere(api: KubeApi, object: KubernetesObject, signal: Signal): Promise<boolean> {
  const verbs = verbsOf(api, object.kind ?? '');
  const what = `read ${describeObject(object)}`;
  const found = await absentIsFine(api.call(what, (given) => verbs.read(object, given), { signal }));
  // A namespace that is on its way out takes a while.
  return found !== undefined && found.metadata?.deletionTimestamp === undefined;
}

/** A namespace is emptied first: a `setup` that comes before it is gone could write nothing into it. */
async function untilHomesAreGone({ api, clock, signal }: Removal): Promise<void> {
  const endsAtMs = clock.monotonicMs() + homesGoneMs;
  const verbs = verbsOf(api, 'Namespace');
  for (const home of namesHomes()) {
    const isLeft = () =>
      absentIsFine(api.call(`read ${describeObject(home)}`, (given) => verbs.read(home, given), { signal }));
    while ((await isLeft()) && clock.monotonicMs() < endsAtMs) await clock.sleep(500, signal);
  }
}

async function remove(api: KubeApi, object: KubernetesObject, signal: Signal): Promise<void> {
  const verbs = verbsOf(api, object.kind ?? '');
  const what = `remove ${describeObject(object)}`;
  await absentIsFine(api.call(what, (given) => verbs.remove(object, given), { signal }));
}
