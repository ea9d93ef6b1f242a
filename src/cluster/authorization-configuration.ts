import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { stringify } from 'yaml';

/** The name of our authorizer in metrics and dashboards. It must not change. */
export const AUTHORIZER = 'k3s-daas';
const BANNED_AUTHORIZER = 'k3s-daas-banned';

/** How the API server reaches the webhook. */
interface WebhookAddress {
  readonly port: number;
  /** PEM: the webhook's own certificate. */
  readonly cert: string;
  /** The API server's as its client, both PEM. */
  readonly clientCert: string;
  readonly clientKey: string;
}

export interface AuthorizationOptions {
  /** Absolute; only root may write into it. */
  readonly directory: string;
  readonly webhook: WebhookAddress;
  /**
   * Node names whose certificates are refused also while the webhook is away; at most `MOST_BANNED_NAMES`. They become part
   * of an expression: only names of Nodes.
   */
  readonly bannedNames: readonly string[];
  /** Kubernetes 1.34 can leave answers uncached; before that they are kept for a millisecond. */
  readonly hasCacheSwitches: boolean;
}

/** CEL takes an expression of at most 100 000 characters: this many names of 63 fit. */
const bannedInOneExpression = 1_000;

/** The file for `--authorization-config`. */
export const AUTHORIZATION_FILE = 'authorization.yaml';
export const NOWHERE_FILE = 'nowhere.kubeconfig';

/** The files of one server, in the order in which they are to be written: what leads to a file is written after it. */
export function authorizationFiles(
  options: AuthorizationOptions,
): ReadonlyArray<{ readonly path: string; readonly text: string }> {
  const { directory, webhook } = options;
  const kubeconfig = webhookKubeconfig(webhook);
  // The API server reads a kubeconfig again only when the configuration that names it means something else. A comment is
  // not enough (measured on 1.36.3: it compares what it has read), so the name of the file changes with its content.
  const generation = createHash('sha256').update(kubeconfig).digest('hex').slice(0, 16);
  const kubeconfigFile = join(directory, `webhook-${generation}.kubeconfig`);
  const nowhereFile = join(directory, NOWHERE_FILE);
  return [
    { path: kubeconfigFile, text: kubeconfig },
    { path: nowhereFile, text: kubeconfigOf({ server: 'https://127.0.0.1:1/' }, {}) },
    {
      path: join(directory, AUTHORIZATION_FILE),
      text: authorizationConfiguration({ ...options, kubeconfigFile, nowhereFile }),
    },
  ];
}

/** Whether an API server that runs this AuthorizationConfiguration refuses names by itself. Pure. */
export const hasBannedNames = (configuration: string): boolean =>
  configuration.includes(`name: ${BANNED_AUTHORIZER}\n`);

const timeout = '1s';

interface AuthorizationFiles extends Pick<AuthorizationOptions, 'bannedNames' | 'hasCacheSwitches'> {
  readonly kubeconfigFile: string;
  /** A kubeconfig that leads nowhere: nothing listens on port 1 of loopback. */
  readonly nowhereFile: string;
}

/**
 * An AuthorizationConfiguration (apiserver.config.k8s.io/v1, Kubernetes 1.32): our webhook first, so that its refusals come
 * before Node and RBAC allow; then, for banned names, one that never answers and refuses by that; then what k3s has.
 */
function authorizationConfiguration(options: AuthorizationFiles): string {
  const { kubeconfigFile, nowhereFile, bannedNames } = options;
  const authorizers = [
    {
      type: 'Webhook',
      name: AUTHORIZER,
      webhook: {
        ...callOf(options, kubeconfigFile),
        // A gateway that is away stops no pod.
        failurePolicy: 'NoOpinion',
        matchConditions: [{ expression: notOurs }, { expression: ofNodes }],
      },
    },
    ...chunksOf(bannedNames, bannedInOneExpression).map((names, index) => ({
      type: 'Webhook',
      name: index === 0 ? BANNED_AUTHORIZER : `${BANNED_AUTHORIZER}-${index + 1}`,
      webhook: {
        ...callOf(options, nowhereFile),
        failurePolicy: 'Deny',
        matchConditions: [{ expression: ofBanned(names) }],
      },
    })),
    { type: 'Node', name: 'node' },
    { type: 'RBAC', name: 'rbac' },
  ];
  const body = stringify(
    { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthorizationConfiguration', authorizers },
    { lineWidth: 0 },
  );
  return `# Written by \`k3s-daas gateway authorizer\`: changes are overwritten.\n${body}`;
}

function callOf({ hasCacheSwitches }: AuthorizationFiles, kubeConfigFile: string) {
  return {
    timeout,
    subjectAccessReviewVersion: 'v1',
    matchConditionSubjectAccessReviewVersion: 'v1',
    connectionInfo: { type: 'KubeConfigFile', kubeConfigFile },
    // 0 would mean the default of five minutes.
    authorizedTTL: '1ms',
    unauthorizedTTL: '1ms',
    ...(hasCacheSwitches && { cacheAuthorizedRequests: false, cacheUnauthorizedRequests: false }),
  };
}

/** Our policies ask all authorizers about this group while they judge a write: with a hung webhook that would cost twice. */
const notOurs =
  "!has(request.resourceAttributes) || !has(request.resourceAttributes.group) || request.resourceAttributes.group != 'k3s-daas.io'";

/** Every `has` is needed: an expression that fails is as good as a webhook that is away. */
const ofNodes = [
  "request.user.startsWith('system:node:')",
  "request.user in ['system:kube-proxy', 'system:k3s-controller']",
  "(has(request.groups) && 'system:nodes' in request.groups)",
  "(has(request.extra) && 'authentication.kubernetes.io/node-name' in request.extra)",
  "(has(request.resourceAttributes) && has(request.resourceAttributes.verb) && request.resourceAttributes.verb.startsWith('impersonate'))",
].join(' || ');

/** The node that a kubelet names by its user, and the nodes that a pod's token names. The list stands there once: it is long. */
const namedNodes =
  "((request.user.startsWith('system:node:') ? [request.user.substring(12)] : []) + (has(request.extra) && 'authentication.kubernetes.io/node-name' in request.extra ? request.extra['authentication.kubernetes.io/node-name'] : []))";

function ofBanned(names: readonly string[]): string {
  return `${namedNodes}.exists(n, n in [${names.map((name) => `'${name}'`).join(', ')}])`;
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

function webhookKubeconfig(webhook: WebhookAddress): string {
  const base64 = (pem: string) => Buffer.from(pem).toString('base64');
  return kubeconfigOf(
    { server: `https://127.0.0.1:${webhook.port}/`, 'certificate-authority-data': base64(webhook.cert) },
    {
      'client-certificate-data': base64(webhook.clientCert),
      'client-key-data': base64(webhook.clientKey),
    },
  );
}

function kubeconfigOf(cluster: object, user: object): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: AUTHORIZER, cluster }],
    users: [{ name: AUTHORIZER, user }],
    contexts: [{ name: AUTHORIZER, context: { cluster: AUTHORIZER, user: AUTHORIZER } }],
    'current-context': AUTHORIZER,
  });
}
