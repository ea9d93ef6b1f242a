import type { KubernetesObject, V1Node } from '@kubernetes/client-node';
import { stringify } from 'yaml';
import { type Clock, ConfigurationError, DaasError, type Log, Secret, silentLog, systemClock } from '#base';
import { EXPECTED, isOperatorsName, ORDINARY, RESERVED } from '#domain';
import {
  allPolicies,
  GATEWAY_TOKEN,
  type GatewayIdentity,
  gatewayAccount,
  gatewayRights,
  usernameOf,
} from './gateway-rights.ts';
import {
  isConflict,
  isNotFound,
  type KubeApi,
  type KubeApiOptions,
  KubeStatusError,
  openKubeApi,
} from './kube-api.ts';
import { type PolicyProbe, policyProbes } from './node-policies.ts';
import { verbsOf } from './objects.ts';
import { admittedNamesMap } from './policy.ts';
import { isSameSpec } from './policy-pair.ts';
import {
  admitsByBootstrapToken,
  hasAdmissionPolicies,
  type KubernetesVersion,
  parseKubernetesVersion,
} from './version.ts';
import { ADMITTED_CONFIG_MAP, NODE_MARK, STAKED_TAINT, SYSTEM_NAMESPACE } from './words.ts';

export interface SetupOptions extends KubeApiOptions {
  /** Only says what would be done. */
  readonly check?: boolean;
  /** As whom the gateway will speak; a ServiceAccount of its own unless given. */
  readonly gateway?: GatewayIdentity;
  /** Names of ordinary nodes that are about to register: the gateway closes them again if they do not. */
  readonly ordinaryNames?: readonly string[];
  /** Names under which nobody may register: servers without a Node, nodes that are switched off. */
  readonly reservedNames?: readonly string[];
  /** Goes on without policies where Kubernetes is older than 1.30: join credentials are then bound to no name. */
  readonly allowUnboundNames?: boolean;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly signal?: AbortSignal;
}

export interface SetupChange {
  readonly action: 'create' | 'replace' | 'list';
  /** `ClusterRole k3s-daas-gateway`, or `server-1 as reserved`: a node name and its listing. */
  readonly what: string;
  readonly why: string;
}

export interface SetupResult {
  readonly kubernetesVersion: string;
  /** What was done, or would be; empty when everything is in place. */
  readonly changes: readonly SetupChange[];
  /** What this cluster cannot do, for the operator to know. */
  readonly shortcomings: readonly string[];
  /** Kubeconfig of the gateway's ServiceAccount; undefined with `check`, or for a gateway with its own credentials. */
  readonly kubeconfig: Secret | undefined;
}

/**
 * Prepares a cluster for the gateway: names of existing Nodes listed, policies, the gateway's account and its least
 * rights. Needs the credentials of an administrator. May be run again at any time: it changes what differs and nothing
 * else. Ends by proving the policies: Nodes that they refuse are asked for as a worker would, without being made.
 * Throws `DAAS_KUBERNETES_TOO_OLD`, `DAAS_NAME_STAKED` (exit 78), `DAAS_POLICY_NOT_IN_FORCE`, and what the API server
 * refused.
 */
export async function setupCluster(options: SetupOptions): Promise<SetupResult> {
  const { check = false, gateway = { kind: 'service-account' } } = options;
  const { clock = systemClock, log = silentLog, signal } = options;
  await using api = openKubeApi(options);
  const version = await readVersion(api, signal);
  const hasPolicies = hasAdmissionPolicies(version);
  if (!hasPolicies && options.allowUnboundNames !== true)
    throw new ConfigurationError(
      'DAAS_KUBERNETES_TOO_OLD',
      `this cluster runs Kubernetes ${version.text}, which has no ValidatingAdmissionPolicy: without it a join credential can take any node name. Upgrade to 1.30 or newer, or pass --allow-unbound-names if you accept that`,
    );

  // Names and policies come first: rights are given to a gateway that is bound already.
  const names = await planNames(api, options, signal);
  const wanted = [
    ...(hasPolicies ? allPolicies(gateway).flatMap(({ policy, binding }) => [policy, binding]) : []),
    ...gatewayAccount(gateway),
    ...gatewayRights(gateway),
  ];
  const steps = [...names];
  for (const object of wanted) steps.push(...(await planObject(api, object, signal)));
  if (!check)
    for (const { change, apply } of steps) {
      await apply();
      log.info('Changed the cluster', { ...change });
    }
  if (!check && hasPolicies) for (const probe of policyProbes()) await prove(api, probe, clock, signal);
  return {
    kubernetesVersion: version.text,
    changes: steps.map(({ change }) => change),
    shortcomings: shortcomingsOf(version),
    kubeconfig:
      check || gateway.kind === 'user'
        ? undefined
        : await gatewayKubeconfig(api, clock, usernameOf(gateway), signal),
  };
}

interface Step {
  readonly change: SetupChange;
  readonly apply: () => Promise<unknown>;
}

async function readVersion(api: KubeApi, signal: AbortSignal | undefined): Promise<KubernetesVersion> {
  const { gitVersion } = await api.call('tell its version', (given) => api.version.getCode({}, given), {
    signal,
  });
  const version = parseKubernetesVersion(gitVersion);
  if (!version)
    throw new ConfigurationError(
      'DAAS_KUBERNETES_TOO_OLD',
      `the API server gives its version as '${gitVersion}', which is no Kubernetes version: is this the right cluster?`,
    );
  return version;
}

function shortcomingsOf(version: KubernetesVersion): string[] {
  const missing: string[] = [];
  if (!admitsByBootstrapToken(version))
    missing.push(`k3s ${version.text} does not admit agents by bootstrap token (1.26.2 and newer do)`);
  if (!hasAdmissionPolicies(version))
    missing.push(
      `Kubernetes ${version.text} has no ValidatingAdmissionPolicy (1.30 and newer do): names are not bound`,
    );
  return missing;
}

async function planNames(
  api: KubeApi,
  { ordinaryNames = [], reservedNames = [] }: SetupOptions,
  signal: AbortSignal | undefined,
): Promise<Step[]> {
  const nodes = await api.call('list the nodes', (given) => api.core.listNode({}, given), { signal });
  const current = await absent(
    api.call(
      'read the admitted names',
      (given) =>
        api.core.readNamespacedConfigMap({ name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE }, given),
      { signal },
    ),
  );
  const names = namesToList(nodes.items, current?.data ?? {}, { ordinaryNames, reservedNames });
  const changeTo = (name: string, listing: string): SetupChange => ({
    action: 'list',
    what: `${name} as ${listing}`,
    why: whyListed[listing] ?? '',
  });
  if (!current) {
    const map = admittedNamesMap(names);
    const change: SetupChange = { action: 'create', what: describe(map), why: 'it is missing' };
    const apply = () => write(api, 'create', map, signal);
    const within = [...names].map(([name, listing]) => changeTo(name, listing));
    return [{ change, apply }, ...within.map((one) => ({ change: one, apply: async () => undefined }))];
  }
  return [...names].map(([name, listing]) => ({
    change: changeTo(name, listing),
    apply: () =>
      api.call(
        `list the name ${name}`,
        (given) =>
          api.core.patchNamespacedConfigMap(
            {
              name: ADMITTED_CONFIG_MAP,
              namespace: SYSTEM_NAMESPACE,
              body: { data: { [name]: listing } },
            },
            given,
          ),
        { signal, patch: 'merge' },
      ),
  }));
}

const whyListed: Readonly<Record<string, string>> = {
  [ORDINARY]: 'its Node was there before: no stake may take this name',
  [EXPECTED]: 'an ordinary node may register under it now; no stake may take it',
  [RESERVED]: 'no node may register under it, and no stake may take it',
};

/**
 * The operator's names whose listing changes. A Node without our mark and taint was there before any stake. One with them
 * that is not in the list is on its way out: as an ordinary one it could come back without a stake. A reserved name is
 * opened only by who names it: that a Node of this name is there may be the very thing it was reserved against.
 * Throws `DAAS_NAME_STAKED` (exit 78) for a named one that belongs to a stake.
 */
export function namesToList(
  nodes: readonly V1Node[],
  current: Readonly<Record<string, string>>,
  named: { readonly ordinaryNames: readonly string[]; readonly reservedNames: readonly string[] },
): ReadonlyMap<string, string> {
  const isStaked = (node: V1Node) =>
    node.metadata?.labels?.[NODE_MARK] !== undefined ||
    (node.spec?.taints ?? []).some(({ key }) => key === STAKED_TAINT);
  const nameOf = (node: V1Node) => node.metadata?.name ?? '';
  const staked = new Set(nodes.filter(isStaked).map(nameOf));
  const ordinary = new Set(nodes.filter((node) => !isStaked(node)).map(nameOf));
  const listings = new Map<string, string>();
  for (const name of ordinary)
    if (current[name] === undefined || current[name] === EXPECTED) listings.set(name, ORDINARY);
  for (const name of named.ordinaryNames) listings.set(name, ordinary.has(name) ? ORDINARY : EXPECTED);
  for (const name of named.reservedNames) listings.set(name, RESERVED);
  for (const name of [...named.ordinaryNames, ...named.reservedNames]) {
    const listing = current[name];
    if (staked.has(name) || (listing !== undefined && !isOperatorsName(listing))) throw stakedName(name);
  }
  return new Map(
    [...listings]
      .filter(([name, listing]) => current[name] !== listing)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
}

function stakedName(name: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_NAME_STAKED',
    `${name} is the name of a staked node: evict it first (k3s-daas gateway evict ${name}), or choose another name`,
    { details: { name } },
  );
}

async function planObject(
  api: KubeApi,
  wanted: KubernetesObject,
  signal: AbortSignal | undefined,
): Promise<Step[]> {
  const what = describe(wanted);
  const verbs = verbsOf(api, wanted.kind ?? '');
  const current = await absent(api.call(`read ${what}`, (given) => verbs.read(wanted, given), { signal }));
  if (!current)
    return [
      {
        change: { action: 'create', what, why: 'it is missing' },
        apply: () => write(api, 'create', wanted, signal),
      },
    ];
  const different = differingMembers(current as unknown as Members, wanted as unknown as Members);
  if (different.length === 0) return [];
  const metadata = Object.assign({}, wanted.metadata, {
    labels: { ...current.metadata?.labels, ...wanted.metadata?.labels },
    ...(current.metadata?.resourceVersion ? { resourceVersion: current.metadata.resourceVersion } : {}),
  });
  return [
    {
      change: { action: 'replace', what, why: `${different.join(', ')} differ from what the gateway needs` },
      apply: () => write(api, 'replace', { ...wanted, metadata } as KubernetesObject, signal),
    },
  ];
}

type Members = Readonly<Record<string, unknown>>;

/** The members that decide what an object means; those of a Secret are the token controller's. */
function differingMembers(current: Members, wanted: Members): string[] {
  return ['spec', 'rules', 'roleRef', 'subjects'].filter(
    (member) => wanted[member] !== undefined && !isSameSpec(current[member], wanted[member]),
  );
}

async function write(
  api: KubeApi,
  action: 'create' | 'replace',
  object: KubernetesObject,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const verbs = verbsOf(api, object.kind ?? '');
    await api.call(`${action} ${describe(object)}`, (given) => verbs[action](object, given), { signal });
  } catch (error) {
    if (!isConflict(error)) throw error;
    throw new DaasError(
      'DAAS_CLUSTER_CHANGED',
      `another client changed ${describe(object)} at the same time. Run 'k3s-daas gateway setup' again`,
      { isRetryable: true, cause: error },
    );
  }
}

const describe = ({ kind, metadata }: KubernetesObject): string =>
  `${kind} ${metadata?.namespace ? `${metadata.namespace}/` : ''}${metadata?.name}`;

async function absent<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Asks for a Node as a worker would, as a dry run, until the policy refuses it: the API server takes a moment to put a
 * new policy in force, and may have been started with the admission plugin switched off.
 */
async function prove(
  api: KubeApi,
  { policy, impersonate, metadata }: PolicyProbe,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + 15_000;
  let answer = 'it let the Node pass';
  while (clock.monotonicMs() < deadlineMs) {
    try {
      await api.call(
        `try out the policy ${policy}`,
        (given) => api.core.createNode({ dryRun: 'All', body: { metadata } }, given),
        { signal, impersonate },
      );
    } catch (error) {
      if (!(error instanceof KubeStatusError)) throw error;
      if (error.message.includes(`'${policy}'`)) return;
      answer = error.message;
    }
    await clock.sleep(200, signal);
  }
  throw new DaasError(
    'DAAS_POLICY_NOT_IN_FORCE',
    `the policy ${policy} is written, but the API server does not carry it out (${answer}): check that ValidatingAdmissionPolicy is not among its disable-admission-plugins`,
  );
}

async function gatewayKubeconfig(
  api: KubeApi,
  clock: Clock,
  user: string,
  signal: AbortSignal | undefined,
): Promise<Secret> {
  const deadlineMs = clock.monotonicMs() + 15_000;
  for (;;) {
    const secret = await api.call(
      "read the gateway's token",
      (given) => api.core.readNamespacedSecret({ name: GATEWAY_TOKEN, namespace: SYSTEM_NAMESPACE }, given),
      { signal },
    );
    const token = secret.data?.token;
    if (token)
      return new Secret(kubeconfigWithToken(api, user, Buffer.from(token, 'base64').toString('utf8')));
    if (clock.monotonicMs() > deadlineMs)
      throw new DaasError(
        'DAAS_GATEWAY_TOKEN_MISSING',
        `no controller has put a token into the Secret ${SYSTEM_NAMESPACE}/${GATEWAY_TOKEN}: is kube-controller-manager running?`,
        { isRetryable: true },
      );
    await clock.sleep(200, signal);
  }
}

/** The administrator's way to the API server with the gateway's token. */
function kubeconfigWithToken(api: KubeApi, user: string, token: string): string {
  const cluster = api.config.getCurrentCluster();
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'default',
    clusters: [
      {
        name: 'default',
        cluster: {
          server: cluster?.server,
          ...(cluster?.caData ? { 'certificate-authority-data': cluster.caData } : {}),
          ...(cluster?.caFile ? { 'certificate-authority': cluster.caFile } : {}),
          ...(cluster?.tlsServerName ? { 'tls-server-name': cluster.tlsServerName } : {}),
        },
      },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'default', context: { cluster: 'default', user } }],
  });
}
