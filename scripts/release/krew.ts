import { basename } from 'node:path';
import { stringify } from 'yaml';
import { sha256 } from './artefact.ts';

export interface KrewOptions {
  readonly version: string;
  /** Where the tarballs of the release can be had: `https://…`, without a slash at the end. */
  readonly baseUrl: string;
  /** Paths of the tarballs, by architecture as Debian and krew call it. */
  readonly tarballs: Readonly<Partial<Record<'amd64' | 'arm64', string>>>;
}

/**
 * The manifest by which krew installs `kubectl daas` (krew.sigs.k8s.io, custom resource Plugin v1alpha2): the program under the
 * name kubectl-daas.
 */
export function krewManifest({ version, baseUrl, tarballs }: KrewOptions): string {
  const platforms = Object.entries(tarballs).map(([arch, file]) => ({
    selector: { matchLabels: { os: 'linux', arch } },
    uri: `${baseUrl}/${basename(file)}`,
    sha256: sha256(file),
    // All of it: the launcher looks for the program beside itself.
    files: [{ from: 'k3s-daas/*', to: '.' }],
    bin: 'bin/k3s-daas',
  }));
  return stringify(
    {
      apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
      kind: 'Plugin',
      metadata: { name: 'daas' },
      spec: {
        version: `v${version}`,
        shortDescription: 'Shows stakes beside Nodes, and who you are by your Seal token',
        description:
          'For clusters whose nodes and users join by a stake on Sui (K3s-DaaS): who this login is and what it may do now, Nodes with their stakes, why a Node is kept out, and the stakes of the wallet. It asks by kubectl.',
        caveats: 'kubectl daas nodes and why need the right to get Nodes and StakedNodes.',
        platforms,
      },
    },
    { lineWidth: 0 },
  );
}
