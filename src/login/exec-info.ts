import { ConfigurationError, membersOf } from '#base';

/** What the caller of an exec plugin says (client.authentication.k8s.io, ExecCredential). */
export interface ExecInfo {
  /** The version that the answer must have: the kubeconfig's. */
  readonly apiVersion: string;
  /** The cluster that the credential is for, as its entry in the kubeconfig says; `undefined`: nothing was said. */
  readonly cluster: { readonly chainId: string; readonly clusterId: string } | undefined;
  /** The caller has left its terminal to the plugin. */
  readonly isInteractive: boolean;
}

const GROUP = 'client.authentication.k8s.io';
const EXEC_VERSION = `${GROUP}/v1`;
const VERSIONS = [EXEC_VERSION, `${GROUP}/v1beta1`];

/**
 * Reads `KUBERNETES_EXEC_INFO`. With `provideClusterInfo: true` it has, as `spec.cluster.config`, the extension
 * `client.authentication.k8s.io/exec` of the cluster's entry.
 * @throws `DAAS_LOGIN_EXEC_INFO`.
 */
export function readExecInfo(text: string | undefined): ExecInfo {
  if (text === undefined || text === '')
    return { apiVersion: EXEC_VERSION, cluster: undefined, isInteractive: true };
  const { apiVersion, kind, spec } = membersOf(parse(text));
  if (kind !== 'ExecCredential' || typeof apiVersion !== 'string' || !VERSIONS.includes(apiVersion))
    throw new ConfigurationError(
      'DAAS_LOGIN_EXEC_INFO',
      `KUBERNETES_EXEC_INFO is no ExecCredential of version v1 or v1beta1: in the kubeconfig set the user's exec.apiVersion to ${EXEC_VERSION}`,
    );
  const { cluster, interactive } = membersOf(spec);
  const { chainId, clusterId } = membersOf(membersOf(cluster).config);
  const isKnown = typeof chainId === 'string' && typeof clusterId === 'string';
  return {
    apiVersion,
    cluster: isKnown ? { chainId, clusterId } : undefined,
    isInteractive: interactive === true,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
