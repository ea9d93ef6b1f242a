import type { V1Secret } from '@kubernetes/client-node';
import { Secret } from '#base';
import { drawBootstrapToken, type IssuedJoinCredential, type LiveJoinCredential } from '#domain';
import { conflictIsFine } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { createSecret, deleteSecret, readSecret, textOf } from './secrets.ts';
import {
  BOOTSTRAP_TOKEN_TYPE,
  bootstrapSecretName,
  MANAGED_BY,
  marksOfSecret,
  OURS,
  SYSTEM_NAMESPACE,
  secretMarks,
} from './words.ts';

type Signal = AbortSignal | undefined;

/** Makes a bootstrap token (kubeadm's form) that authenticates until `expiresAtMs`. */
export async function createJoinCredential(
  { api }: KubernetesContext,
  {
    nodeId,
    recordId,
    expiresAtMs,
  }: { readonly nodeId: string; readonly recordId: string; readonly expiresAtMs: number },
  signal: Signal,
): Promise<IssuedJoinCredential> {
  // Kubernetes reads whole seconds of RFC 3339. Rounded down, so that the credential never outlives its promise.
  const wholeMs = Math.floor(expiresAtMs / 1000) * 1000;
  const token = drawBootstrapToken();
  await createSecret(
    api,
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
}

/** Deletes the Secret of a join credential. The operator's own bootstrap tokens stay. */
export async function revokeJoinCredential(
  { api }: KubernetesContext,
  id: string,
  signal: Signal,
): Promise<void> {
  const name = bootstrapSecretName(id);
  const found = await readSecret(api, name, signal);
  if (!found || !joinCredentialOf(found)) return;
  await conflictIsFine(deleteSecret(api, { name, uid: found.metadata?.uid }, signal));
}

/** The join credentials that the gateway made and that still exist. */
export async function joinCredentials(
  { api }: KubernetesContext,
  signal: Signal,
): Promise<readonly LiveJoinCredential[]> {
  const ours = {
    namespace: SYSTEM_NAMESPACE,
    labelSelector: `${MANAGED_BY}=${OURS}`,
    fieldSelector: `type=${BOOTSTRAP_TOKEN_TYPE}`,
  };
  const list = await api.call(
    'list the join credentials',
    (given) => api.core.listNamespacedSecret(ours, given),
    { signal },
  );
  return list.items.map(joinCredentialOf).filter((credential) => credential !== undefined);
}

/** Reads a join credential that the gateway made; `undefined` for any other Secret. */
export function joinCredentialOf(secret: V1Secret): LiveJoinCredential | undefined {
  const marks = marksOfSecret(secret.metadata?.labels);
  const id = textOf(secret, 'token-id');
  if (!marks || !id) return undefined;
  // Kubernetes treats an expiration that it cannot read as passed.
  const expiresAtMs = Date.parse(textOf(secret, 'expiration') ?? '');
  return { id, ...marks, expiresAtMs: Number.isNaN(expiresAtMs) ? 0 : expiresAtMs };
}
