import type { KubernetesObject } from '@kubernetes/client-node';
import { type Clock, ConfigurationError, type Log, type Secret, silentLog, systemClock } from '#base';
import { proveAuthorization, type ServerAuthorization } from './authorization-proof.ts';
import { createCertificateSight } from './certificate-sight.ts';
import { type Forger, findForgers } from './forgers.ts';
import { gatewayKubeconfig, keeperKubeconfig } from './gateway-kubeconfig.ts';
import { type GatewayIdentity, type SetupTerms, usernameOf } from './gateway-rights.ts';
import { type KubeApi, type KubeApiOptions, openKubeApi } from './kube-api.ts';
import { provePolicies } from './policy-proof.ts';
import { setupObjects } from './setup-manifests.ts';
import { planEarlierNamesRemoval, planNames } from './setup-names.ts';
import { planObject } from './setup-objects.ts';
import {
  admitsByBootstrapToken,
  hasAdmissionPolicies,
  hasCacheSwitches,
  type KubernetesVersion,
  parseKubernetesVersion,
  showsCertificates,
} from './version.ts';

export interface SetupOptions extends KubeApiOptions, SetupTerms {
  /** Reports what would be done; when that is nothing, proves the policies. */
  readonly check?: boolean;
  /** The identity of the gateway at the API server; a ServiceAccount of its own unless given. */
  readonly gateway?: GatewayIdentity;
  /** Names of ordinary nodes that are about to register. The gateway reserves those that do not. */
  readonly ordinaryNames?: readonly string[];
  /** Names under which no node may register: servers without a Node, nodes that are switched off. */
  readonly reservedNames?: readonly string[];
  /**
   * Asks each API server whether it runs the authorizer (`proveAuthorization`); `file` has the bytes of this machine's
   * AuthorizationConfiguration, if it is a server.
   */
  readonly authorizer?: { readonly file: string | undefined };
  /** Continues without policies on Kubernetes older than 1.30: join credentials are then bound to no name. */
  readonly allowUnboundNames?: boolean;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly signal?: AbortSignal;
}

/** What every step of a setup works with. */
export interface SetupContext {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  readonly showsCertificates: (signal?: AbortSignal) => Promise<boolean>;
}

export interface SetupChange {
  /** `keep`: `removeSetup` leaves it. */
  readonly action: 'create' | 'replace' | 'list' | 'remove' | 'keep';
  /** `ClusterRole k3s-daas-gateway`, or `server-1 as reserved`: a node name and its listing. */
  readonly what: string;
  readonly why: string;
}

/** A change and how it is made. */
export interface SetupStep {
  readonly change: SetupChange;
  readonly apply: () => Promise<unknown>;
}

export interface SetupResult {
  readonly kubernetesVersion: string;
  /** What was done, or with `check` would be; empty when everything is in place. */
  readonly changes: readonly SetupChange[];
  /** What this cluster cannot do, for the operator to know. */
  readonly shortcomings: readonly string[];
  /** What this version can do for the authorizer: nothing below 1.32, and without switches for its cache below 1.34. */
  readonly authorizerSupport: 'none' | 'cached' | 'full';
  /** Who can make the API server believe in a certificate that is not there, besides `system:masters`. */
  readonly forgers: readonly Forger[];
  /** With `authorizer`: what each API server runs. */
  readonly servers: readonly ServerAuthorization[];
  /** Kubeconfig of the gateway's ServiceAccount; undefined with `check`, or for a gateway with its own credentials. */
  readonly kubeconfig: Secret | undefined;
  /** Kubeconfig of the keeper of people's namespaces; undefined with `check`. */
  readonly keeperKubeconfig: Secret | undefined;
}

/**
 * Prepares a cluster for the gateway: lists the names of existing Nodes, writes the policies, the gateway's account and
 * its least rights. Needs the credentials of an administrator. Idempotent: it changes only what differs. At the end it
 * proves the policies (`provePolicies`); with `check` too, when there is nothing to change: a name of its own is listed
 * for that moment.
 * @throws `DAAS_KUBERNETES_TOO_OLD`, `DAAS_NAME_STAKED` (exit 78), `DAAS_POLICY_NOT_IN_FORCE`, and what the API server
 * refused.
 */
export async function setupCluster(options: SetupOptions): Promise<SetupResult> {
  const { check = false, gateway = { kind: 'service-account' } } = options;
  const { clock = systemClock, log = silentLog, signal } = options;
  await using api = openKubeApi(options);
  const context = { api, clock, signal, showsCertificates: createCertificateSight(api, clock) };
  const version = await readVersion(context);
  const hasPolicies = hasAdmissionPolicies(version);
  if (!hasPolicies && options.allowUnboundNames !== true) throw tooOld(version);

  const steps = await planSteps(context, options, hasPolicies);
  if (!check) await takeSteps(log, steps);
  if (hasPolicies && (!check || steps.length === 0)) await provePolicies(context);
  return {
    kubernetesVersion: version.text,
    changes: steps.map(({ change }) => change),
    shortcomings: shortcomingsOf(version),
    authorizerSupport: authorizerSupportOf(version),
    forgers: showsCertificates(version) ? await findForgers(context) : [],
    servers: options.authorizer ? await proveAuthorization(context, options.authorizer.file) : [],
    kubeconfig:
      check || gateway.kind === 'user' ? undefined : await gatewayKubeconfig(context, usernameOf(gateway)),
    keeperKubeconfig: check ? undefined : await keeperKubeconfig(context),
  };
}

/**
 * Names and policies come first: by the time the gateway gets its rights, it is already bound. The list of an earlier
 * version is carried over before any policy changes, and removed after all of them have.
 */
async function planSteps(
  context: SetupContext,
  options: SetupOptions,
  hasPolicies: boolean,
): Promise<SetupStep[]> {
  const { gateway = { kind: 'service-account' } } = options;
  const isPolicy = ({ kind }: KubernetesObject) => kind?.startsWith('ValidatingAdmissionPolicy') ?? false;
  const wanted = setupObjects(gateway, options).filter((object) => hasPolicies || !isPolicy(object));
  const isHome = ({ kind }: KubernetesObject) => kind === 'Namespace';
  const steps: SetupStep[] = [];
  for (const object of wanted.filter(isHome)) steps.push(...(await planObject(context, object)));
  steps.push(...(await planNames(context, options)));
  for (const object of wanted) if (!isHome(object)) steps.push(...(await planObject(context, object)));
  steps.push(...(await planEarlierNamesRemoval(context)));
  return steps;
}

async function takeSteps(log: Log, steps: readonly SetupStep[]): Promise<void> {
  for (const { change, apply } of steps) {
    await apply();
    log.info('Changed the cluster', { action: change.action, detail: change.what, reason: change.why });
  }
}

async function readVersion({
  api,
  signal,
}: Pick<SetupContext, 'api' | 'signal'>): Promise<KubernetesVersion> {
  const { gitVersion } = await api.call('read its version', (given) => api.version.getCode({}, given), {
    signal,
  });
  const version = parseKubernetesVersion(gitVersion);
  if (!version)
    throw new ConfigurationError(
      'DAAS_KUBERNETES_TOO_OLD',
      `the API server reports the version '${gitVersion}', which is not a Kubernetes version: check that this is the right cluster`,
    );
  return version;
}

function tooOld(version: KubernetesVersion): ConfigurationError {
  return new ConfigurationError(
    'DAAS_KUBERNETES_TOO_OLD',
    `this cluster runs Kubernetes ${version.text}, which has no ValidatingAdmissionPolicy: without it a join credential can take any node name. Upgrade to 1.30 or newer, or pass --allow-unbound-names if you accept that`,
  );
}

function authorizerSupportOf(version: KubernetesVersion): SetupResult['authorizerSupport'] {
  if (!showsCertificates(version)) return 'none';
  return hasCacheSwitches(version) ? 'full' : 'cached';
}

function shortcomingsOf(version: KubernetesVersion): string[] {
  const missing: string[] = [];
  if (!admitsByBootstrapToken(version))
    missing.push(`k3s ${version.text} does not admit agents by bootstrap token (1.26.2 and newer do)`);
  if (!hasAdmissionPolicies(version))
    missing.push(
      `Kubernetes ${version.text} has no ValidatingAdmissionPolicy (1.30 and newer do): names are not bound. It cannot run the authorizer either (1.32)`,
    );
  else if (!showsCertificates(version))
    missing.push(
      `Kubernetes ${version.text} does not show its policies which certificate a request came with (1.32 and newer do): a name stays bound to its last staker and node key for as long as a certificate lives, and 'k3s-daas gateway release NAME' frees it at your risk. It cannot run the authorizer either`,
    );
  else if (!hasCacheSwitches(version))
    missing.push(
      `Kubernetes ${version.text} caches what an authorizer answers for at least a moment (1.34 and newer need not)`,
    );
  return missing;
}
