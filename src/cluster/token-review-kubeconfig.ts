import { stringify } from 'yaml';

/** The file for `--authentication-token-webhook-config-file`. */
export const TOKEN_REVIEW_FILE = 'token-review.kubeconfig';

/** How the API server reaches the gateway's listener for TokenReviews; all PEM. */
export interface TokenReviewAddress {
  readonly port: number;
  /** The listener's own certificate. */
  readonly cert: string;
  /** The API server's as its client. */
  readonly clientCert: string;
  readonly clientKey: string;
}

/** The kubeconfig by which the API server asks; it reads it at its start alone. */
export function tokenReviewKubeconfig({ port, cert, clientCert, clientKey }: TokenReviewAddress): string {
  const base64 = (pem: string) => Buffer.from(pem).toString('base64');
  const name = 'k3s-daas';
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: { server: `https://127.0.0.1:${port}/`, 'certificate-authority-data': base64(cert) },
      },
    ],
    users: [
      {
        name,
        user: { 'client-certificate-data': base64(clientCert), 'client-key-data': base64(clientKey) },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  });
}

/** The flags of the API server, as k3s takes them in `kube-apiserver-arg`. */
export function tokenReviewFlags(file: string, cacheTtlMs: number): readonly string[] {
  return [
    `authentication-token-webhook-config-file=${file}`,
    // The API server's default is v1beta1.
    'authentication-token-webhook-version=v1',
    `authentication-token-webhook-cache-ttl=${cacheTtlMs}ms`,
  ];
}
