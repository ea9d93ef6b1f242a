import { ConfigurationError } from '#base';
import { readExecInfo } from './exec-info.ts';
import { type LoginFile, readLoginFile } from './login-file.ts';
import { signBy } from './sign-by.ts';

export interface CredentialRequest {
  readonly loginFile: string;
  /** `KUBERNETES_EXEC_INFO` */
  readonly execInfo: string | undefined;
  /** Sign also for a caller that does not say which cluster it is for. */
  readonly anyCaller: boolean;
  readonly nowMs: number;
  /** `SSH_AUTH_SOCK` */
  readonly agentSocket?: string | undefined;
}

/** kubectl uses a token until the very second: a proof must not expire on the way, nor in a slow request. */
const spareMs = 45_000;

/**
 * The answer of an exec plugin: an ExecCredential with a fresh login proof. Signs with the person's own key, asks no network, writes
 * nothing.
 * @throws `DAAS_LOGIN_…`, and what reading the files throws.
 */
export async function makeCredential(request: CredentialRequest): Promise<string> {
  const { loginFile, execInfo, anyCaller, nowMs, agentSocket } = request;
  const info = readExecInfo(execInfo);
  const login = readLoginFile(loginFile);
  if (info.cluster) refuseOther(login, info.cluster);
  else if (!anyCaller)
    throw new ConfigurationError(
      'DAAS_LOGIN_CLUSTER_UNKNOWN',
      `the caller does not say which cluster the login is for, and another cluster could use it in ${login.clusterId}: set provideClusterInfo: true in the kubeconfig (\`k3s-daas kubeconfig\` does), or add --any-caller`,
    );
  const { proof, expiresAtMs } = await signBy(login, { nowMs, agentSocket, mayAsk: info.isInteractive });
  return JSON.stringify({
    apiVersion: info.apiVersion,
    kind: 'ExecCredential',
    status: { token: proof, expirationTimestamp: timestamp(expiresAtMs - spareMs) },
  });
}

function refuseOther(
  login: LoginFile,
  asked: { readonly chainId: string; readonly clusterId: string },
): void {
  if (asked.clusterId === login.clusterId && asked.chainId === login.chainId) return;
  const what = (one: { readonly chainId: string; readonly clusterId: string }) =>
    `cluster ${JSON.stringify(one.clusterId)} on chain ${JSON.stringify(one.chainId)}`;
  throw new ConfigurationError(
    'DAAS_LOGIN_OTHER_CLUSTER',
    `the kubeconfig asks for ${what(asked)}, and the login is for ${what(login)}: use the context that \`k3s-daas kubeconfig\` made for it`,
  );
}

/** RFC 3339 without fractions. */
const timestamp = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
