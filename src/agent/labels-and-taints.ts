import { ConfigurationError } from '#base';

/** A `key=value` or a taint, with the place it comes from. */
export interface Given {
  readonly value: string;
  readonly origin: string;
}

/** The kubelet ends at a label that it does not accept, after the stake was made: `DAAS_NODE_LABEL_INVALID`. */
export function refuseLabels(labels: readonly Given[]): void {
  // k3s joins all labels with commas for the kubelet.
  for (const { value, origin } of labels)
    for (const pair of value.split(',').filter((text) => text !== '')) {
      const at = pair.indexOf('=');
      const key = (at < 0 ? pair : pair.slice(0, at)).trim();
      const fault =
        keyFault(key) ?? namespaceFault(key) ?? valueFault(at < 0 ? '' : pair.slice(at + 1).trim());
      if (fault !== undefined)
        throw new ConfigurationError(
          'DAAS_NODE_LABEL_INVALID',
          `the node label '${pair}' (${origin}) is one that the kubelet refuses: ${fault}`,
          { details: { label: pair, origin } },
        );
    }
}

/** k3s ends at a taint that it does not accept: `DAAS_NODE_TAINT_INVALID`. */
export function refuseTaints(taints: readonly Given[]): void {
  const seen = new Map<string, string>();
  for (const { value, origin } of taints) {
    const isRemoval = value.endsWith('-');
    const { fault, id } = judgeTaint(isRemoval ? value.slice(0, -1) : value, isRemoval);
    const other = isRemoval ? undefined : seen.get(id);
    const why = fault ?? (other && `${other} sets the same key with the same effect`);
    if (why !== undefined)
      throw new ConfigurationError(
        'DAAS_NODE_TAINT_INVALID',
        `the node taint '${value}' (${origin}) is one that k3s refuses: ${why}`,
        { details: { taint: value, origin } },
      );
    if (!isRemoval) seen.set(id, origin);
  }
}

/** `key=value:Effect` or `key:Effect`; the key alone only where a taint is taken away. */
function judgeTaint(text: string, isRemoval: boolean): { readonly fault?: string; readonly id: string } {
  const [keyAndValue = '', effect, ...more] = text.split(':');
  const [key = '', value = '', ...rest] = keyAndValue.split('=');
  const id = `${key}:${effect}`;
  if (more.length > 0 || rest.length > 0) return { id, fault: 'it is not of the form key=value:Effect' };
  if (effect === undefined && !isRemoval)
    return { id, fault: 'it names no effect: write key=value:NoSchedule' };
  if (effect !== undefined && !['NoSchedule', 'PreferNoSchedule', 'NoExecute'].includes(effect))
    return { id, fault: 'the effect must be NoSchedule, PreferNoSchedule or NoExecute' };
  const fault = keyFault(effect === undefined ? keyAndValue : key) ?? valueFault(value);
  return fault === undefined ? { id } : { id, fault };
}

/** A qualified name of Kubernetes: an optional DNS prefix, a slash, and a name. */
function keyFault(key: string): string | undefined {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  const prefix = parts.length > 1 ? parts[0] : undefined;
  if (parts.length > 2) return 'a key has one slash at most';
  if (prefix !== undefined && !isDnsName(prefix)) return 'what stands before the slash must be a DNS name';
  if (!/^(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)$/.test(name))
    return 'a key is 1 to 63 letters, digits, -, _ and ., with a letter or digit at both ends';
  return undefined;
}

function isDnsName(text: string): boolean {
  return (
    text.length <= 253 && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/.test(text)
  );
}

function valueFault(value: string): string | undefined {
  return /^(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?$/.test(value)
    ? undefined
    : 'a value is at most 63 letters, digits, -, _ and ., with a letter or digit at both ends';
}

/** The keys of Kubernetes' own domains that a kubelet may set on its own Node. */
const allowed = new Set(
  `kubernetes.io/hostname kubernetes.io/os kubernetes.io/arch beta.kubernetes.io/os beta.kubernetes.io/arch
   beta.kubernetes.io/instance-type node.kubernetes.io/instance-type topology.kubernetes.io/zone
   topology.kubernetes.io/region failure-domain.beta.kubernetes.io/zone failure-domain.beta.kubernetes.io/region`.split(
    /\s+/,
  ),
);

function namespaceFault(key: string): string | undefined {
  const at = key.indexOf('/');
  const namespace = at < 0 ? '' : key.slice(0, at);
  if (!/(?:^|\.)(?:kubernetes|k8s)\.io$/.test(namespace) || allowed.has(key)) return undefined;
  if (/(?:^|\.)(?:kubelet|node)\.kubernetes\.io$/.test(namespace)) return undefined;
  return `below kubernetes.io and k8s.io a node may only set node.kubernetes.io/…, kubelet.kubernetes.io/… and ${[...allowed].slice(0, 3).join(', ')} and the like; an operator can set it: kubectl label node`;
}
