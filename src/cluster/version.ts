/** A Kubernetes version as `/version` reports it (`v1.36.2+k3s1`). */
export interface KubernetesVersion {
  readonly text: string;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Reads a version; undefined for any other text (a build without version flags reports `v0.0.0-master+…`). */
export function parseKubernetesVersion(gitVersion: string): KubernetesVersion | undefined {
  const [, major, minor, patch] = /^v(\d+)\.(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  if (major === undefined || major === '0') return undefined;
  return { text: gitVersion, major: Number(major), minor: Number(minor), patch: Number(patch) };
}

/** ValidatingAdmissionPolicy is served as v1 from Kubernetes 1.30 on. */
export const hasAdmissionPolicies = ({ major, minor }: KubernetesVersion): boolean =>
  major > 1 || (major === 1 && minor >= 30);

/** From Kubernetes 1.32 on a request tells which client certificate it came with (`credential-id`). */
export const showsCertificates = ({ major, minor }: KubernetesVersion): boolean =>
  major > 1 || (major === 1 && minor >= 32);

/** From Kubernetes 1.34 on an authorizer's answers need not be cached (`cacheAuthorizedRequests`). */
export const hasCacheSwitches = ({ major, minor }: KubernetesVersion): boolean =>
  major > 1 || (major === 1 && minor >= 34);

/** The first patch of each minor in which k3s admits agents by bootstrap token; every later minor does. */
const joinPatches: Readonly<Record<number, number>> = { 23: 17, 24: 11, 25: 7, 26: 2 };

/** Whether k3s of this version admits an agent by a bootstrap-token Secret. */
export function admitsByBootstrapToken({ major, minor, patch }: KubernetesVersion): boolean {
  if (major !== 1) return major > 1;
  return minor > 26 || patch >= (joinPatches[minor] ?? Number.POSITIVE_INFINITY);
}
