import { isMap, isScalar, parseDocument } from 'yaml';
import { ConfigurationError, messageOf } from '#base';

/** What a plain k3s agent was set up with, and what of it an agent of ours must not have: the gateway decides these. */
const gatewaysOwn = new Set(['server', 's', 'token', 't', 'token-file', 'cluster-secret', 'node-name']);
const switches = new Set(['with-node-id']);

/** Flags of k3s whose value is a secret, or holds one. */
export const secretFlags: ReadonlySet<string> = new Set(
  'token t agent-token cluster-secret agent-cluster-secret vpn-auth datastore-endpoint etcd-s3-access-key etcd-s3-secret-key etcd-s3-session-token'.split(
    ' ',
  ),
);
/** Keys of k3s' config file whose value may be printed. */
export const harmlessKeys: ReadonlySet<string> = new Set(
  'server s node-name with-node-id token-file vpn-auth-file data-dir d debug log v node-label node-taint node-ip node-external-ip flannel-iface flannel-conf snapshotter selinux docker rootless resolv-conf pause-image private-registry container-runtime-endpoint lb-server-port prefer-bundled-bin protect-kernel-defaults'.split(
    ' ',
  ),
);

export interface CarriedFlags {
  readonly flags: readonly string[];
  readonly dropped: readonly string[];
  /** `--config` of the old command. */
  readonly configFile: string | undefined;
}

/** The flags of `k3s agent …` that stay; `--config` is renamed, since ours means another file by it. */
export function carryFlags(words: readonly string[]): CarriedFlags {
  const flags: string[] = [];
  const dropped: string[] = [];
  let configFile: string | undefined;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const [, name = '', , inline] = /^--?([a-z][a-z0-9-]*)(=(.*))?$/is.exec(word) ?? [];
    const takesNext = inline === undefined;
    if (gatewaysOwn.has(name)) {
      dropped.push(`--${name}`);
      if (takesNext) at += 1;
    } else if (switches.has(name)) dropped.push(`--${name}`);
    else if (name === 'config' || name === 'c') {
      configFile = takesNext ? words[at + 1] : inline;
      if (takesNext) at += 1;
      if (configFile !== undefined) flags.push(`--k3s-config=${configFile}`);
    } else flags.push(word);
  }
  return { flags, dropped, configFile };
}

export interface CleanedConfig {
  readonly text: string;
  readonly dropped: readonly string[];
}

/**
 * k3s' config file without the keys that the gateway decides; every other line stays as it is. Throws
 * `DAAS_K3S_CONFIG_UNREADABLE` for what is not a mapping.
 */
export function cleanK3sConfig(path: string, text: string): CleanedConfig {
  const document = parseDocument(text, { version: '1.1', uniqueKeys: false, prettyErrors: false });
  const root = document.contents;
  if (document.errors[0]) throw unreadable(path, document.errors[0]);
  if (root === null || (isScalar(root) && root.value === null)) return { text, dropped: [] };
  if (!isMap(root)) throw unreadable(path, new Error('it is not a mapping of flags to values'));
  const dropped: string[] = [];
  const cuts: Array<readonly [number, number]> = [];
  for (const { key, value } of root.items) {
    const name = isScalar(key) ? String(key.value) : '';
    const flag = name.replace(/\+$/, '');
    if (!gatewaysOwn.has(flag) && !switches.has(flag)) continue;
    dropped.push(name);
    const range = (isScalar(key) ? key.range : undefined) ?? [0, 0, 0];
    const end = (value as { range?: readonly number[] } | null)?.range?.[1] ?? range[1];
    cuts.push([text.lastIndexOf('\n', range[0] - 1) + 1, lineEnd(text, end)]);
  }
  if (dropped.length === 0) return { text, dropped };
  if (root.flow === true) return { text: withoutKeys(document, dropped), dropped };
  return {
    text: cuts.reduceRight((rest, [from, to]) => rest.slice(0, from) + rest.slice(to), text),
    dropped,
  };
}

function lineEnd(text: string, from: number): number {
  // A block scalar's range ends behind its last line.
  if (text[from - 1] === '\n') return from;
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end + 1;
}

/** `{ server: …, debug: true }`: on one line there is nothing to keep as it is. */
function withoutKeys(document: ReturnType<typeof parseDocument>, names: readonly string[]): string {
  for (const name of names) document.delete(name);
  return document.toString();
}

function unreadable(path: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_K3S_CONFIG_UNREADABLE',
    `the k3s config file ${path} cannot be read: ${messageOf(cause)}`,
    { cause },
  );
}
