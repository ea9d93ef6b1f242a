import { type V1Lease, V1MicroTime, type V1Secret } from '@kubernetes/client-node';
import { type Clock, DaasError, type Log, silentLog, systemClock } from '#base';
import type { NewStateObject, StateLease, StateObject, StateObjectNews, StateObjects } from '#domain';
import {
  absentIsFine,
  isConflict,
  isNotFound,
  type KubeApi,
  type KubeApiOptions,
  openKubeApi,
} from './kube-api.ts';
import { type WatchedKind, watchObjects } from './object-watch.ts';
import { textOf } from './secrets.ts';
import { MANAGED_BY, OURS, STATE_LEASE, STATE_NAMESPACE, STATE_TYPE } from './words.ts';

export interface StateObjectsOptions extends Pick<KubeApiOptions, 'kubeconfig'> {
  readonly clock?: Clock;
  readonly log?: Log;
}

interface StateSecrets {
  readonly api: KubeApi;
  /** Of the Lease: not behind a long list, and given up before the Lease ends. */
  readonly leases: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
}

const namespace = STATE_NAMESPACE;
const member = 'state';
/** With 10 000 records a page has some 1.5 MB. */
const pageSize = 128;
const leaseTimeoutMs = 3_000;
const relistMs = 3_600_000;

/**
 * The Secrets of type `k3s-daas.io/state` in the namespace of the state, and its Lease. Nothing is sent before the first call.
 * @throws `DAAS_KUBECONFIG_INVALID`, `DAAS_KUBECONFIG_EXPOSED` (exit 78).
 */
export function openStateObjects({
  kubeconfig,
  clock = systemClock,
  log = silentLog,
}: StateObjectsOptions): StateObjects {
  const api = openKubeApi({ kubeconfig });
  const leases = openKubeApi({ kubeconfig, callTimeoutMs: leaseTimeoutMs });
  const secrets: StateSecrets = { api, leases, clock, log };
  return {
    list: async () => (await list(secrets)).items.map(objectOf),
    read: (name) => read(secrets, name),
    write: (object) => write(secrets, object),
    follow: (name, listener, signal) => follow(secrets, name, listener, signal),
    readLease: () => readLease(secrets),
    writeLease: (lease) => writeLease(secrets, lease),
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]();
      await leases[Symbol.asyncDispose]();
    },
  };
}

/** In pages, all of one version. */
async function list(
  { api }: StateSecrets,
  signal?: AbortSignal,
): Promise<{ readonly items: V1Secret[]; readonly version: string }> {
  const items: V1Secret[] = [];
  let version: string | undefined;
  let next: string | undefined;
  do {
    const from = next === undefined ? {} : { _continue: next };
    const page = await api.call(
      'list the Secrets of the state',
      (given) => api.core.listNamespacedSecret({ namespace, limit: pageSize, ...from }, given),
      // Measured with 10 000 records: 0.3 s in the place of 0.9 s.
      { signal, isPlain: true },
    );
    items.push(...page.items.filter(isOurs));
    version ??= page.metadata?.resourceVersion;
    next = page.metadata?._continue;
  } while (next !== undefined && next !== '');
  return { items, version: version ?? '' };
}

/** A Secret of another type in this namespace is not of the state. */
const isOurs = ({ type }: V1Secret) => type === STATE_TYPE;

const objectOf = (secret: V1Secret): StateObject => ({
  name: secret.metadata?.name ?? '',
  text: textOf(secret, member) ?? '',
  version: secret.metadata?.resourceVersion ?? '',
});

async function read({ api }: StateSecrets, name: string): Promise<StateObject | undefined> {
  const found = await absentIsFine(
    api.call(`read the Secret ${name} of the state`, (given) =>
      api.core.readNamespacedSecret({ name, namespace }, given),
    ),
  );
  return found && isOurs(found) ? objectOf(found) : undefined;
}

async function write(
  { api }: StateSecrets,
  { name, text, version }: NewStateObject,
): Promise<StateObject | undefined> {
  const body: V1Secret = {
    metadata: {
      name,
      namespace,
      labels: { [MANAGED_BY]: OURS },
      ...(version !== undefined && { resourceVersion: version }),
    },
    type: STATE_TYPE,
    data: { [member]: Buffer.from(text, 'utf8').toString('base64') },
  };
  const written = await unlessChanged(
    api.call(`write the Secret ${name} of the state`, (given) =>
      version === undefined
        ? api.core.createNamespacedSecret({ namespace, body }, given)
        : api.core.replaceNamespacedSecret({ name, namespace, body }, given),
    ),
    // One that was removed meanwhile was changed, too; on a creation it is the namespace that is missing.
    version !== undefined,
  );
  return written && { name, text, version: written.metadata?.resourceVersion ?? '' };
}

async function unlessChanged<T>(request: Promise<T>, mayBeGone: boolean): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isConflict(error) || (mayBeGone && isNotFound(error))) return undefined;
    throw isNotFound(error) ? notSetUp(error) : error;
  }
}

function notSetUp(cause: unknown): DaasError {
  return new DaasError(
    'DAAS_CLUSTER_NOT_SET_UP',
    `the namespace ${STATE_NAMESPACE} or the Lease in it is missing, where gateway.state.engine kubernetes keeps the state: run 'k3s-daas gateway setup'`,
    { cause },
  );
}

async function follow(
  secrets: StateSecrets,
  name: string,
  listener: (news: StateObjectNews) => void,
  signal: AbortSignal,
): Promise<void> {
  const { api, clock, log } = secrets;
  const kind: WatchedKind<V1Secret, StateObjectNews> = {
    what: 'state of the gateways',
    path: `/api/v1/namespaces/${namespace}/secrets`,
    query: { fieldSelector: `metadata.name=${name}` },
    list: (given) => list(secrets, given),
    listed: (items) => ({ kind: 'listed', objects: items.map(objectOf) }),
    changed: (phase, secret) =>
      phase === 'deleted' ? { kind: 'deleted' } : { kind: 'written', object: objectOf(secret) },
  };
  await watchObjects({ api, clock, log, relistMs }, kind, listener, signal);
}

async function readLease({ leases }: StateSecrets): Promise<StateLease> {
  const found = await absentIsFine(
    leases.call('read the Lease of the state', (given) =>
      leases.coordination.readNamespacedLease({ name: STATE_LEASE, namespace }, given),
    ),
  );
  if (!found) throw notSetUp(undefined);
  return leaseOf(found);
}

async function writeLease({ leases }: StateSecrets, lease: StateLease): Promise<StateLease | undefined> {
  const { version, holder, durationSeconds, acquiredAtMs, renewedAtMs, transitions } = lease;
  const body: V1Lease = {
    metadata: { name: STATE_LEASE, namespace, resourceVersion: version, labels: { [MANAGED_BY]: OURS } },
    spec: {
      // Without a holder the member is left out: an empty one is not valid.
      ...(holder !== undefined && { holderIdentity: holder }),
      ...(durationSeconds !== undefined && { leaseDurationSeconds: durationSeconds }),
      ...(acquiredAtMs !== undefined && { acquireTime: new V1MicroTime(acquiredAtMs) }),
      ...(renewedAtMs !== undefined && { renewTime: new V1MicroTime(renewedAtMs) }),
      leaseTransitions: transitions,
    },
  };
  const written = await unlessChanged(
    leases.call('write the Lease of the state', (given) =>
      leases.coordination.replaceNamespacedLease({ name: STATE_LEASE, namespace, body }, given),
    ),
    true,
  );
  return written && leaseOf(written);
}

const leaseOf = ({ metadata, spec }: V1Lease): StateLease => ({
  version: metadata?.resourceVersion ?? '',
  holder: spec?.holderIdentity === '' ? undefined : spec?.holderIdentity,
  durationSeconds: spec?.leaseDurationSeconds,
  acquiredAtMs: millisOf(spec?.acquireTime),
  renewedAtMs: millisOf(spec?.renewTime),
  transitions: spec?.leaseTransitions ?? 0,
});

/** The client leaves these times as text. */
function millisOf(time: Date | undefined): number | undefined {
  const atMs = time === undefined ? Number.NaN : new Date(time).getTime();
  return Number.isNaN(atMs) ? undefined : atMs;
}
