import { isNodeId } from '#domain';
import { base58OfId, idOfBase58 } from './base58.ts';

/** Names that the API server and the operator see. They must not change: existing clusters contain them. */
export const SYSTEM_NAMESPACE = 'kube-system';
/** The namespace in which every kubelet renews a Lease named like its Node. */
export const LEASE_NAMESPACE = 'kube-node-lease';
/** The namespace of the gateways' shared state, with nothing else in it. */
export const STATE_NAMESPACE = 'k3s-daas-state';
/** The Lease in it, whose holder leads. */
export const STATE_LEASE = 'k3s-daas-gateway';
/** Type of the Secrets in it. */
export const STATE_TYPE = 'k3s-daas.io/state';
/** In which the API server publishes the CA bundle of its client certificates, key `client-ca-file`. */
export const CLIENT_CA_CONFIG_MAP = 'extension-apiserver-authentication';
/** ConfigMap in which the first version kept the admitted names: key node name, value its listing. `setup` carries it over. */
export const ADMITTED_CONFIG_MAP = 'k3s-daas-admitted';
/** Taint that the policy demands of a staked Node at its creation; the value is the tier, the effect NoSchedule. */
export const STAKED_TAINT = 'k3s-daas.io/staked';
/** Taint of a Node that is being evicted; the value is the reason, the effect NoExecute. */
export const EVICTED_TAINT = 'k3s-daas.io/evicted';
/** Taint of a Node that stays, but gets no new pods; the value is the reason, the effect NoSchedule. */
export const CORDON_TAINT = 'k3s-daas.io/held';
/** Node label with the stake record in base58; NodeRestriction keeps nodes from setting labels of this domain. */
export const NODE_MARK = 'k3s-daas.node-restriction.kubernetes.io/stake';
/** Node label with the tier of the stake: for selectors, since `k3s-daas.io/tier` says whatever its node says. */
export const NODE_TIER = 'k3s-daas.node-restriction.kubernetes.io/tier';
/** Node label with the wallet of its staker in base58: what `placement: own` selects. */
export const NODE_OWNER = 'k3s-daas.node-restriction.kubernetes.io/owner';
/** Node label with the kind of the evidence that its machine has shown, or `none`. */
export const NODE_ATTESTATION = 'k3s-daas.node-restriction.kubernetes.io/attestation';
/** Namespace label: the wallet in base58 whose namespace it is. */
export const TENANT_OWNER = 'k3s-daas.io/owner';
/** Namespace label: where its pods may run, `own`, `staked` or `any`. */
export const TENANT_PLACEMENT = 'k3s-daas.io/placement';
/** Namespace annotation: the wallet as Sui writes it. */
export const TENANT_WALLET = 'k3s-daas.io/wallet';
/** Namespace annotation: the stake records whose logins were seen, separated by commas, the last one last. */
export const TENANT_RECORDS = 'k3s-daas.io/stake-records';
/** Namespace annotation: the tier by which its quota is kept. */
export const TENANT_TIER = 'k3s-daas.io/tier';
/** Namespace annotation: since when none of these stakes counts any more (RFC 3339). */
export const TENANT_ENDED = 'k3s-daas.io/stake-ended-at';
/** Namespace annotation: until when the namespace is kept after that (RFC 3339). */
export const TENANT_KEPT_UNTIL = 'k3s-daas.io/kept-until';
/** Labels of the Secrets that the gateway makes. */
const SECRET_STAKE = 'k3s-daas.io/stake';
const SECRET_NODE = 'k3s-daas.io/node';
export const MANAGED_BY = 'app.kubernetes.io/managed-by';
export const OURS = 'k3s-daas';

export const BOOTSTRAP_TOKEN_TYPE = 'bootstrap.kubernetes.io/token';
/** Type of k3s' node-password Secrets (k3s pkg/nodepassword, since late 2025). */
export const NODE_PASSWORD_TYPE = 'k3s.cattle.io/node-password';

/** Kubernetes' name for the Secret of a bootstrap token; the API server looks it up by this name. */
export const bootstrapSecretName = (tokenId: string): string => `bootstrap-token-${tokenId}`;

const passwordSuffix = '.node-password.k3s';
/** k3s' name for the Secret that binds a node name to the password of its first claimant. */
export const passwordSecretName = (nodeName: string): string => `${nodeName}${passwordSuffix}`;
/** The node name of a password Secret; `undefined` for another Secret. */
export const nodeOfPasswordSecret = (secretName: string): string | undefined =>
  secretName.endsWith(passwordSuffix) ? secretName.slice(0, -passwordSuffix.length) : undefined;

/** The labels that mark a Secret as the gateway's. */
export function secretMarks(nodeId: string, recordId: string): Record<string, string> {
  return { [MANAGED_BY]: OURS, [SECRET_NODE]: nodeId, [SECRET_STAKE]: base58OfId(recordId) };
}

/** The node and record that a Secret's labels name; `undefined` when the mark is not complete. */
export function marksOfSecret(
  labels: Readonly<Record<string, string>> | undefined,
): { readonly nodeId: string; readonly recordId: string } | undefined {
  const nodeId = labels?.[SECRET_NODE];
  const recordId = idOfBase58(labels?.[SECRET_STAKE] ?? '');
  if (labels?.[MANAGED_BY] !== OURS || nodeId === undefined || !isNodeId(nodeId) || recordId === undefined)
    return undefined;
  return { nodeId, recordId };
}
