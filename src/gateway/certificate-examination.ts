import { X509Certificate } from 'node:crypto';
import { messageOf } from '#base';
import type { WorkerIdentity } from '#domain';
import type { ShownCertificate } from './certificates.ts';

export interface Examination {
  readonly nodeId: string;
  /** PEM of the authorities whose client certificates the API server accepts. */
  readonly authorities: string;
  readonly nowMs: number;
}

type Outcome =
  | { readonly kind: 'good'; readonly certificate: ShownCertificate }
  | { readonly kind: 'refused'; readonly why: string };

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** From the certificate to an authority of the cluster, intermediates of one's own included. */
const longestChain = 4;

/**
 * Whether a certificate that a host has shown is one of its own: issued by an authority of the cluster, for a client, alive,
 * and with the very subject that k3s gives this node (k3s pkg/server/handlers). The PEM may bring intermediates.
 */
export function examineCertificate(pem: string, { nodeId, authorities, nowMs }: Examination): Outcome {
  let chain: X509Certificate[];
  try {
    chain = certificatesOf(pem);
  } catch (error) {
    return refused(`it cannot be read: ${messageOf(error)}`);
  }
  const [leaf, ...intermediates] = chain;
  if (!leaf) return refused('it holds no certificate');
  const identity = identityOf(leaf, nodeId);
  if (!identity)
    return refused(`its subject is none of node ${nodeId}: ${leaf.subject.replaceAll('\n', ', ')}`);
  if (!leaf.keyUsage?.includes(CLIENT_AUTH)) return refused('it is not one of a client');
  const notAfterMs = leaf.validToDate.getTime();
  if (notAfterMs <= nowMs) return refused(`it ended at ${leaf.validToDate.toISOString()}`);
  if (!leadsTo(leaf, { intermediates, roots: certificatesOf(authorities), nowMs }))
    return refused('no client authority of this cluster has issued it');
  const fingerprint = leaf.fingerprint256.replaceAll(':', '').toLowerCase();
  return { kind: 'good', certificate: { identity, fingerprint, notAfterMs } };
}

const refused = (why: string): Outcome => ({ kind: 'refused', why });

function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** The subject is compared as a whole: another organization would be another right. */
function identityOf({ subject }: X509Certificate, nodeId: string): WorkerIdentity | undefined {
  switch (subject.split('\n').sort().join('\n')) {
    case `CN=system:node:${nodeId}\nO=system:nodes`:
      return 'kubelet';
    case 'CN=system:kube-proxy':
      return 'kube-proxy';
    case 'CN=system:k3s-controller':
      return 'k3s-controller';
    default:
      return undefined;
  }
}

interface Trust {
  readonly intermediates: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  readonly nowMs: number;
}

function leadsTo(leaf: X509Certificate, { intermediates, roots, nowMs }: Trust): boolean {
  let current = leaf;
  for (let length = 0; length < longestChain; length += 1) {
    if (roots.some((root) => isIssuedBy(current, root))) return true;
    const next = intermediates.find(
      (issuer) => issuer.ca && issuer.validToDate.getTime() > nowMs && isIssuedBy(current, issuer),
    );
    if (!next) return false;
    current = next;
  }
  return false;
}

/** By name and by signature: `checkIssued` looks at the names alone. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
