import { join } from 'node:path';
import { ConfigurationError } from '#base';
import type { DownloadStep } from './steps.ts';

/** Where the k3s binary comes from when the machine has none. */
export interface K3sSource {
  readonly binDir: string;
  readonly skipDownload: boolean;
  /** `v1.36.2+k3s1` */
  readonly version: string | undefined;
  /** Base of the releases, or of a mirror laid out like them. */
  readonly baseUrl: string | undefined;
  /** Hexadecimal; else the list of the release. */
  readonly sha256: string | undefined;
}

const RELEASES = 'https://github.com/k3s-io/k3s/releases/download';

/** Throws `DAAS_INSTALL_K3S_VERSION`: which k3s a machine runs is not decided by what is newest today. */
export function k3sDownload(
  { binDir, version, baseUrl = RELEASES, sha256 }: K3sSource,
  architecture: 'amd64' | 'arm64' | undefined,
): DownloadStep {
  if (version === undefined || !/^v\d+\.\d+\.\d+(?:[-+][\w.+-]+)?$/.test(version))
    throw new ConfigurationError(
      'DAAS_INSTALL_K3S_VERSION',
      `there is no k3s on this machine, and INSTALL_K3S_DAAS_K3S_VERSION is ${version === undefined ? 'not set' : `'${version}'`}. Set it to the version of the cluster's server, such as v1.36.2+k3s1, or put the k3s binary into ${binDir}`,
    );
  const isPlain = URL.parse(baseUrl)?.protocol !== 'https:';
  if (architecture === undefined || isPlain)
    throw new ConfigurationError(
      'DAAS_INSTALL_K3S_VERSION',
      isPlain
        ? `INSTALL_K3S_DAAS_K3S_URL is '${baseUrl}': use https://`
        : `k3s has no release for this machine (${process.arch}): put a k3s binary into ${binDir}`,
    );
  const name = architecture === 'amd64' ? 'k3s' : `k3s-${architecture}`;
  const folder = `${baseUrl}/${encodeURIComponent(version)}`;
  return {
    kind: 'download',
    url: `${folder}/${name}`,
    path: join(binDir, 'k3s'),
    mode: 0o755,
    why: `k3s ${version}`,
    sha256: sha256 ?? { listUrl: `${folder}/sha256sum-${architecture}.txt`, name },
  };
}
