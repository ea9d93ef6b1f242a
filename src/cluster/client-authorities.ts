import type { KubernetesContext } from './kubernetes.ts';
import { CLIENT_CA_CONFIG_MAP, SYSTEM_NAMESPACE } from './words.ts';

/** PEM of the authorities whose client certificates the API server accepts; it publishes them itself. */
export async function clientAuthorities(
  { api }: KubernetesContext,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { data } = await api.call(
    'read the authorities of client certificates',
    (given) =>
      api.core.readNamespacedConfigMap({ name: CLIENT_CA_CONFIG_MAP, namespace: SYSTEM_NAMESPACE }, given),
    { signal },
  );
  return data?.['client-ca-file'] ?? '';
}
