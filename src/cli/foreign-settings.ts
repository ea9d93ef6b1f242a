/**
 * Kubernetes sets variables for each Service of a namespace in every pod, from the Service's name in capitals: a Service
 * `k3s-daas` or `k3s-daas-gateway` gives names with the prefix of our settings. They are told apart by name and value.
 */
export function isServiceLink(name: string, value: string): boolean {
  if (!name.startsWith('K3S_DAAS_')) return false;
  const isLink =
    /_SERVICE_HOST$|_SERVICE_PORT(?:_[A-Z0-9_]+)?$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/.test(
      name,
    );
  // The name alone may be that of a setting, such as a Service `k3s-daas-health` gives.
  return isLink || (name.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\/\S+:\d+$/i.test(value));
}

/** Keys that stand in nearly every configuration of k3s, and in none of ours. */
const keysOfK3s = new Set([
  'server',
  'token',
  'token-file',
  'agent-token',
  'node-name',
  'node-label',
  'node-taint',
  'node-ip',
  'node-external-ip',
  'kubelet-arg',
  'kube-proxy-arg',
  'data-dir',
  'with-node-id',
  'flannel-iface',
  'private-registry',
  'container-runtime-endpoint',
  'protect-kernel-defaults',
  'selinux',
]);

/** k3s calls its own file `--config` too. */
export function describeK3sFile(keys: readonly string[]): string | undefined {
  return keys.some((key) => keysOfK3s.has(key.replace(/\+$/, '')))
    ? "looks like k3s' own configuration: pass that one to `k3s-daas agent` as --k3s-config, and ours as --config"
    : undefined;
}
