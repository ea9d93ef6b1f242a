import { stringify } from 'yaml';
import type { KeyPair } from './authority.ts';

/** A kubeconfig with everything inside, as k3s writes its own. */
export function kubeconfigText(server: string, certificateAuthority: string, client: KeyPair): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'default',
    clusters: [
      { name: 'default', cluster: { server, 'certificate-authority-data': base64(certificateAuthority) } },
    ],
    contexts: [{ name: 'default', context: { cluster: 'default', user: 'default' } }],
    users: [
      {
        name: 'default',
        user: {
          'client-certificate-data': base64(client.certificate),
          'client-key-data': base64(client.key),
        },
      },
    ],
  });
}
