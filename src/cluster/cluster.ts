import type { V1Node, V1Pod, V1Secret, V1Taint } from '@kubernetes/client-node';
import { type Clock, ConfigurationError, DaasError, type Log, Secret, silentLog, systemClock } from '#base';
import { type ClusterPort, type IssuedJoinCredential, isOperatorsName } from '#domain';
import { base58OfId } from './base58.ts';
import { drawBootstrapToken } from './bootstrap-token.ts';
import { clusterNodeOf, joinCredentialOf, nodePasswordOf } from './facts.ts';
import {
  isConflict,
  isNotFound,
  type KubeApiOptions,
  type KubeStatusError,
  openKubeApi,
} from './kube-api.ts';
import { leaseRenewedAtMs } from './node-lease.ts';
import { watchNodes } from './node-watch.ts';
import { type PolicyState, readPolicyState } from './policy-state.ts';
import {
  ADMITTED_CONFIG_MAP,
  BOOTSTRAP_TOKEN_TYPE,
  bootstrapSecretName,
  EVICTED_TAINT,
  HELD_TAINT,
  MANAGED_BY,
  NODE_MARK,
  NODE_PASSWORD_TYPE,
  OURS,
  passwordSecretName,
  SYSTEM_NAMESPACE,
  secretMarks,
} from './words.ts';

export interface ClusterOptions extends KubeApiOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** How long evicted pods may take to end by themselves before they are deleted without grace; 2 s unless given. */
  readonly podGraceMs?: number;
  /**
   * How long a name that was taken off the admitted ones stays untouched before its password is made anew; 1 s unless
   * given. The API server learns of the list by a watch, some 20 ms later.
   */
  readonly settleMs?: number;
  /** How long whoever holds a deleted Node by a finalizer may take to let go; 10 s unless given. */
  readonly nodeGoneMs?: number;
  /** How often the node watch begins anew at the latest; 5 min unless given. */
  readonly relistMs?: number;
}

/** `ClusterPort` on a real Kubernetes API server; close it to end its connections. */
export interface Cluster extends ClusterPort, AsyncDisposable {
  /** Whether the policies that bind node names are in place and as this version writes them. */
  policyState(signal?: AbortSignal): Promise<PolicyState>;
}

/** Reaches the cluster of a kubeconfig. Nothing is sent before the first call. */
export function openCluster(options: ClusterOptions): Cluster {
  const { clock = systemClock, log = silentLog, podGraceMs = 2_000 } = options;
  const { relistMs = 300_000, settleMs = 1_000, nodeGoneMs = 10_000 } = options;
  const api = openKubeApi(options);
  const { core } = api;
  const call: typeof api.call = (what, request, settings) => api.call(what, request, settings);
  const namespace = SYSTEM_NAMESPACE;

  const readNode = (name: string, signal?: AbortSignal): Promise<V1Node | undefined> =>
    absentIsFine(call(`read node ${name}`, (given) => core.readNode({ name }, given), { signal }));
  const deleteSecret = (name: string, uid: string | undefined, signal?: AbortSignal) =>
    absentIsFine(
      call(
        `delete the Secret ${name}`,
        (given) =>
          core.deleteNamespacedSecret(
            { name, namespace, body: uid ? { preconditions: { uid } } : {} },
            given,
          ),
        { signal },
      ),
    );
  const secret = (name: string, signal?: AbortSignal): Promise<V1Secret | undefined> =>
    absentIsFine(
      call(`read the Secret ${name}`, (given) => core.readNamespacedSecret({ name, namespace }, given), {
        signal,
      }),
    );
  const createSecret = (body: V1Secret, signal?: AbortSignal) =>
    call(
      `create the Secret ${body.metadata?.name}`,
      (given) => core.createNamespacedSecret({ namespace, body }, given),
      { signal },
    );
  const podsOf = async (nodeId: string, signal?: AbortSignal): Promise<readonly V1Pod[]> => {
    const fieldSelector = `spec.nodeName=${nodeId}`;
    const list = await call(
      `list the pods of node ${nodeId}`,
      (given) => core.listPodForAllNamespaces({ fieldSelector }, given),
      { signal },
    );
    return list.items;
  };

  const readAdmitted = (signal?: AbortSignal) =>
    call(
      'read the admitted names',
      (given) => core.readNamespacedConfigMap({ name: ADMITTED_CONFIG_MAP, namespace }, given),
      { signal },
    ).catch(explainMissingSetup);

  /** Gives one name another listing, or none, and says whether that changed anything; what others do to the list stays. */
  async function changeListing(
    name: string,
    next: (current: string | undefined) => string | undefined,
    signal?: AbortSignal,
  ): Promise<boolean> {
    for (let attempt = 0; ; attempt += 1) {
      const { data, metadata } = await readAdmitted(signal);
      const current = data?.[name];
      const wanted = next(current);
      if (current === wanted) return false;
      // With the version of what was read: a name that an administrator reserves in between is not overwritten.
      const body = {
        metadata: { resourceVersion: metadata?.resourceVersion },
        data: { [name]: wanted ?? null },
      };
      try {
        await call(
          `change the admitted name ${name}`,
          (given) => core.patchNamespacedConfigMap({ name: ADMITTED_CONFIG_MAP, namespace, body }, given),
          { signal, patch: 'merge' },
        );
        return true;
      } catch (error) {
        if (!isConflict(error) || attempt === 19) throw error;
        await clock.sleep(Math.ceil(Math.random() * 20 * (attempt + 1)), signal);
      }
    }
  }

  /** Admits a staked name, or takes it off the list. */
  const changeAdmitted = (nodeId: string, tier: string | undefined, signal?: AbortSignal) =>
    changeListing(
      nodeId,
      (current) => {
        if (current !== tier && isOperatorsName(current)) throw reservedName(nodeId, current);
        return tier;
      },
      signal,
    );

  return {
    async node(name, signal) {
      const found = await readNode(name, signal);
      return found && clusterNodeOf(found);
    },
    async nodes(signal) {
      const list = await call('list the nodes', (given) => core.listNode({}, given), { signal });
      return list.items.map(clusterNodeOf);
    },
    leaseRenewedAtMs: (name, signal) => leaseRenewedAtMs(name, signal, { api, log }),
    watchNodes: (listener, signal) => watchNodes(listener, signal, { api, clock, log, relistMs }),

    async nodePassword(nodeId, signal) {
      const found = await secret(passwordSecretName(nodeId), signal);
      return found && nodePasswordOf(found);
    },
    async reserveNodePassword({ nodeId, hash, recordId }, signal) {
      const name = passwordSecretName(nodeId);
      const body: V1Secret = {
        metadata: { name, labels: secretMarks(nodeId, recordId) },
        type: NODE_PASSWORD_TYPE,
        immutable: true,
        stringData: { hash },
      };
      // Between the old Secret and the new one the name is anybody's with a join credential: it must not be admitted
      // then, or whoever slips in, or comes after a crash right here, could register it.
      if (await changeAdmitted(nodeId, undefined, signal)) await clock.sleep(settleMs, signal);
      // k3s itself makes such a Secret for whoever claims the name first: one that slips in between is deleted too.
      for (let attempt = 0; ; attempt += 1) {
        await deleteSecret(name, undefined, signal);
        try {
          await createSecret(body, signal);
          return;
        } catch (error) {
          if (!isConflict(error) || attempt === 4) throw error;
        }
      }
    },
    async releaseNodePassword(nodeId, signal) {
      const found = await secret(passwordSecretName(nodeId), signal);
      if (!found || nodePasswordOf(found)?.recordId === undefined) return;
      await conflictIsFine(deleteSecret(passwordSecretName(nodeId), found.metadata?.uid, signal));
    },

    async admittedNames(signal) {
      return new Map(Object.entries((await readAdmitted(signal)).data ?? {}));
    },
    async admitName({ nodeId, tier }, signal) {
      await changeAdmitted(nodeId, tier, signal);
    },
    async removeName(nodeId, signal) {
      await changeAdmitted(nodeId, undefined, signal);
    },
    relistName: ({ name, from, to }, signal) =>
      changeListing(name, (current) => (current === from ? to : current), signal),

    async createJoinCredential({ nodeId, recordId, expiresAtMs }, signal): Promise<IssuedJoinCredential> {
      // Kubernetes reads whole seconds of RFC 3339; rounded down, so that the credential never outlives its promise.
      const wholeMs = Math.floor(expiresAtMs / 1000) * 1000;
      const token = drawBootstrapToken();
      await createSecret(
        {
          metadata: { name: bootstrapSecretName(token.id), labels: secretMarks(nodeId, recordId) },
          type: BOOTSTRAP_TOKEN_TYPE,
          stringData: {
            'token-id': token.id,
            'token-secret': token.secret,
            'usage-bootstrap-authentication': 'true',
            expiration: new Date(wholeMs).toISOString().replace('.000Z', 'Z'),
            description: `K3s-DaaS join credential of node ${nodeId}`,
          },
        },
        signal,
      );
      return { id: token.id, credential: new Secret(`${token.id}.${token.secret}`), expiresAtMs: wholeMs };
    },
    async revokeJoinCredential(id, signal) {
      const found = await secret(bootstrapSecretName(id), signal);
      // A token that the operator made is not ours to take back.
      if (!found || !joinCredentialOf(found)) return;
      await conflictIsFine(deleteSecret(bootstrapSecretName(id), found.metadata?.uid, signal));
    },
    async joinCredentials(signal) {
      const list = await call(
        'list the join credentials',
        (given) =>
          core.listNamespacedSecret(
            {
              namespace,
              labelSelector: `${MANAGED_BY}=${OURS}`,
              fieldSelector: `type=${BOOTSTRAP_TOKEN_TYPE}`,
            },
            given,
          ),
        { signal },
      );
      return list.items.map(joinCredentialOf).filter((credential) => credential !== undefined);
    },

    async markNode({ nodeId, recordId }, signal) {
      const body = { metadata: { labels: { [NODE_MARK]: base58OfId(recordId) } } };
      await absentIsFine(
        call(`mark node ${nodeId}`, (given) => core.patchNode({ name: nodeId, body }, given), {
          signal,
          patch: 'merge',
        }),
      );
    },
    cordonAndTaint: ({ nodeId, reason }, signal) =>
      changeTaint(
        nodeId,
        EVICTED_TAINT,
        { key: EVICTED_TAINT, value: taintValue(reason), effect: 'NoExecute' },
        { isCordoned: true, signal },
      ),
    holdNode: ({ nodeId, reason }, signal) =>
      changeTaint(
        nodeId,
        HELD_TAINT,
        reason === undefined
          ? undefined
          : { key: HELD_TAINT, value: taintValue(reason), effect: 'NoSchedule' },
        { isCordoned: false, signal },
      ),
    async removePods(nodeId, signal) {
      const pods = await podsOf(nodeId, signal);
      // A list that is to be consistent takes k3s' sqlite some 0.2 s: an empty one is not asked for twice.
      if (pods.length === 0) return 0;
      await inTens(pods, (pod) => evict(pod, signal));
      const deadlineMs = clock.monotonicMs() + podGraceMs;
      let left = await podsOf(nodeId, signal);
      while (left.length > 0 && clock.monotonicMs() < deadlineMs) {
        await clock.sleep(Math.min(200, podGraceMs), signal);
        left = await podsOf(nodeId, signal);
      }
      await inTens(left, (pod) => deleteAtOnce(pod, signal));
      return new Set([...pods, ...left].map((pod) => pod.metadata?.uid)).size;
    },
    async deleteNode({ nodeId, uid }, signal) {
      const body = uid === undefined ? {} : { preconditions: { uid } };
      await conflictIsFine(
        absentIsFine(
          call(`delete node ${nodeId}`, (given) => core.deleteNode({ name: nodeId, body }, given), {
            signal,
          }),
        ),
      );
      await untilNodeIsGone(nodeId, signal);
    },
    policyState: (signal) => readPolicyState(api, clock, signal),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };

  /** Makes `wanted` the only taint of this key, or leaves none of it; every other taint stays. An absent Node is fine. */
  async function changeTaint(
    nodeId: string,
    key: string,
    wanted: V1Taint | undefined,
    { isCordoned, signal }: { readonly isCordoned: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const found = await readNode(nodeId, signal);
      if (!found) return;
      const taints = found.spec?.taints ?? [];
      const ours = taints.filter((taint) => taint.key === key);
      const isInPlace =
        wanted === undefined
          ? ours.length === 0
          : ours.length === 1 && ours.every((taint) => isSameTaint(taint, wanted));
      if (isInPlace && (!isCordoned || found.spec?.unschedulable === true)) return;
      const others = taints.filter((taint) => taint.key !== key);
      try {
        // The list of taints is replaced as a whole: without the version, a taint that a controller sets between
        // our read and our write would be lost.
        const body = {
          metadata: { resourceVersion: found.metadata?.resourceVersion },
          spec: {
            ...(isCordoned && { unschedulable: true }),
            taints: wanted === undefined ? others : [...others, wanted],
          },
        };
        await absentIsFine(
          call(`taint node ${nodeId}`, (given) => core.patchNode({ name: nodeId, body }, given), {
            signal,
            patch: 'merge',
          }),
        );
        return;
      } catch (error) {
        if (!isConflict(error) || attempt === 9) throw error;
      }
    }
  }

  /** k3s holds every Node by a finalizer: a deleted one is there, and may be Ready, until k3s has let go (some 20 ms). */
  async function untilNodeIsGone(nodeId: string, signal: AbortSignal | undefined): Promise<void> {
    const deadlineMs = clock.monotonicMs() + nodeGoneMs;
    for (;;) {
      const left = await readNode(nodeId, signal);
      // One that is not being deleted is another of the same name.
      if (left?.metadata?.deletionTimestamp === undefined) return;
      if (clock.monotonicMs() >= deadlineMs)
        throw new DaasError(
          'DAAS_NODE_HELD',
          `the Node ${nodeId} is deleted, but its finalizers still hold it (${(left.metadata.finalizers ?? []).join(', ')}). Check that k3s server runs, or the program that set them`,
          { isRetryable: true, details: { nodeId, finalizers: left.metadata.finalizers } },
        );
      await clock.sleep(50, signal);
    }
  }

  async function evict(pod: V1Pod, signal: AbortSignal | undefined): Promise<void> {
    const { name = '', namespace: podNamespace = '', uid } = pod.metadata ?? {};
    try {
      await call(
        `evict pod ${podNamespace}/${name}`,
        (given) =>
          core.createNamespacedPodEviction(
            {
              name,
              namespace: podNamespace,
              body: {
                metadata: { name, namespace: podNamespace },
                deleteOptions: uid ? { preconditions: { uid } } : {},
              },
            },
            given,
          ),
        { signal },
      );
    } catch (error) {
      if (signal?.aborted) throw error;
      // A disruption budget (429), two of them (500), a pod that is gone: what is left is deleted without asking.
      log.debug('A pod was not evicted', { pod: `${podNamespace}/${name}`, reason: String(error) });
    }
  }

  async function deleteAtOnce(pod: V1Pod, signal: AbortSignal | undefined): Promise<void> {
    const { name = '', namespace: podNamespace = '', uid } = pod.metadata ?? {};
    const body = { gracePeriodSeconds: 0, ...(uid ? { preconditions: { uid } } : {}) };
    await conflictIsFine(
      absentIsFine(
        call(
          `delete pod ${podNamespace}/${name}`,
          (given) => core.deleteNamespacedPod({ name, namespace: podNamespace, body }, given),
          { signal },
        ),
      ),
    );
  }
}

/** A reason as the value of a taint: what cannot stand there becomes a dash. */
export function taintValue(reason: string): string {
  return reason
    .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
}

const isSameTaint = (one: V1Taint, other: V1Taint) =>
  one.key === other.key && one.value === other.value && one.effect === other.effect;

async function inTens<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += 10)
    await Promise.all(items.slice(start, start + 10).map(act));
}

async function absentIsFine<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A failed precondition says that the object we meant is gone already. */
async function conflictIsFine(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

function reservedName(nodeId: string, listing: string | undefined): DaasError {
  return new ConfigurationError(
    'DAAS_NAME_RESERVED',
    `the node name ${nodeId} is the operator's, listed as ${listing} in the ConfigMap ${SYSTEM_NAMESPACE}/${ADMITTED_CONFIG_MAP}: no stake may take or free it; an administrator may remove the key`,
    { details: { nodeId } },
  );
}

function explainMissingSetup(error: unknown): never {
  if (!isNotFound(error)) throw error;
  const { details } = error as KubeStatusError;
  throw new DaasError(
    'DAAS_CLUSTER_NOT_SET_UP',
    `the ConfigMap ${SYSTEM_NAMESPACE}/${ADMITTED_CONFIG_MAP} is not there, so no Node can register: run 'k3s-daas gateway setup'`,
    { details, cause: error },
  );
}
