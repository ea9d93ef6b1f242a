import { stringify } from 'yaml';
import { DaasError, Secret } from '#base';
import { GATEWAY_TOKEN } from './gateway-rights.ts';
import type { KubeApi } from './kube-api.ts';
import type { SetupContext } from './setup.ts';
import { KEEPER_TOKEN, KEEPER_USER } from './tenant-rights.ts';
import { SYSTEM_NAMESPACE } from './words.ts';

const deadlineMs = 15_000;
const pauseMs = 200;

/**
 * The kubeconfig of the gateway's ServiceAccount: the administrator's address of the API server, the gateway's token.
 * @throws `DAAS_GATEWAY_TOKEN_MISSING` (retryable) when no controller has made the token within 15 s.
 */
export function gatewayKubeconfig(context: SetupContext, user: string): Promise<Secret> {
  return kubeconfigOfToken(context, GATEWAY_TOKEN, user);
}

/** The same of the ServiceAccount that keeps the namespaces of people. */
export function keeperKubeconfig(context: SetupContext): Promise<Secret> {
  return kubeconfigOfToken(context, KEEPER_TOKEN, KEEPER_USER);
}

async function kubeconfigOfToken(
  { api, clock, signal }: SetupContext,
  name: string,
  user: string,
): Promise<Secret> {
  const endsAtMs = clock.monotonicMs() + deadlineMs;
  for (;;) {
    const secret = await api.call(
      `read the token in ${name}`,
      (given) => api.core.readNamespacedSecret({ name, namespace: SYSTEM_NAMESPACE }, given),
      { signal },
    );
    const token = secret.data?.token;
    if (token)
      return new Secret(kubeconfigWithToken(api, user, Buffer.from(token, 'base64').toString('utf8')));
    if (clock.monotonicMs() > endsAtMs)
      throw new DaasError(
        'DAAS_GATEWAY_TOKEN_MISSING',
        `no controller has put a token into the Secret ${SYSTEM_NAMESPACE}/${name}: check that kube-controller-manager runs`,
        { isRetryable: true },
      );
    await clock.sleep(pauseMs, signal);
  }
}

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
