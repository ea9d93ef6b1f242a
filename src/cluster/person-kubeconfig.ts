import { type Document, isAlias, parseDocument, stringify } from 'yaml';
import { ConfigurationError } from '#base';

/** What a person's kubeconfig is made of. */
export interface PersonAccess {
  /** Name of cluster, user and context. */
  readonly name: string;
  /** `https://host:6443` */
  readonly server: string;
  /** PEM of the CA of the server; `undefined`: the machine's own CAs vouch for it. */
  readonly serverCa: string | undefined;
  readonly namespace: string;
  readonly chainId: string;
  readonly clusterId: string;
  /** Absolute: programs with windows have another PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** The plugin asks for a passphrase, on a terminal alone. */
  readonly mayAsk: boolean;
}

interface Named {
  readonly name: string;
}
interface Entries {
  readonly clusters: readonly Named[];
  readonly users: readonly Named[];
  readonly contexts: readonly Named[];
}

/** A kubeconfig that a person can use as it is. */
export function personKubeconfig(access: PersonAccess): string {
  const body = { apiVersion: 'v1', kind: 'Config', ...entriesOf(access), 'current-context': access.name };
  return stringify(body, { lineWidth: 0 });
}

function entriesOf(access: PersonAccess): Entries {
  const { name, server, serverCa, namespace, chainId, clusterId, command, args, mayAsk } = access;
  const cluster = {
    server,
    ...(serverCa !== undefined && {
      'certificate-authority-data': Buffer.from(serverCa).toString('base64'),
    }),
    // kubectl passes it to the plugin, which signs for no other cluster.
    extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { chainId, clusterId } }],
  };
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command,
    args,
    interactiveMode: mayAsk ? 'IfAvailable' : 'Never',
    provideClusterInfo: true,
    installHint: `${command} is missing: install k3s-daas there, or write this kubeconfig anew with 'k3s-daas kubeconfig'`,
  };
  return {
    clusters: [{ name, cluster } as Named],
    users: [{ name, user: { exec } } as Named],
    contexts: [{ name, context: { cluster: name, user: name, namespace } } as Named],
  };
}

/**
 * The text of an existing kubeconfig with the entries of this access in place of those of the same name; all else stays as it
 * is, comments included. The current context changes only with `use`, or when there is none.
 * @throws `DAAS_KUBECONFIG_INVALID`.
 */
export function mergeKubeconfig(
  text: string,
  access: PersonAccess,
  { file, use }: { readonly file: string; readonly use: boolean },
): string {
  const document = parseDocument(text);
  const kept = plainValue(document, file);
  if (text.trim() === '' || kept === null) return personKubeconfig(access);
  const isMapping = typeof kept === 'object' && !Array.isArray(kept);
  if (document.errors.length > 0 || !isMapping || (kept.kind !== undefined && kept.kind !== 'Config'))
    throw unmergeable(file, 'it is no kubeconfig');
  for (const [list, [entry]] of Object.entries(entriesOf(access) as unknown as Record<string, [Named]>)) {
    const before = listOf(document, kept, { list, file });
    const place = before.findIndex(({ name }) => name === access.name);
    const index = place === -1 ? before.length : place;
    if (before.length === 0) document.set(list, document.createNode([entry]));
    else document.setIn([list, index], document.createNode(entry));
  }
  const current = kept['current-context'];
  if (use || current === undefined || current === '') document.set('current-context', access.name);
  return document.toString({ lineWidth: 0 });
}

const unmergeable = (file: string, why: string, cause?: unknown) =>
  new ConfigurationError(
    'DAAS_KUBECONFIG_INVALID',
    `nothing is merged into ${file}: ${why}. Correct it, name another file, or write a new one with --out`,
    { cause },
  );

/** Aliases can name what is not there, and each other without end. */
function plainValue(document: Document, file: string): Readonly<Record<string, unknown>> | null {
  try {
    return document.toJS() as Readonly<Record<string, unknown>> | null;
  } catch (cause) {
    throw unmergeable(file, 'its YAML aliases cannot be followed', cause);
  }
}

/** The entries of one list, each with a name; none where there is no list. */
function listOf(
  document: Document,
  kept: Readonly<Record<string, unknown>>,
  { list, file }: { readonly list: string; readonly file: string },
): readonly Named[] {
  if (isAlias(document.get(list, true)))
    throw unmergeable(file, `'${list}' is a YAML alias of another part, which would change with it`);
  const value = kept[list] ?? [];
  if (!Array.isArray(value)) throw unmergeable(file, `'${list}' is no list`);
  const spoilt = value.findIndex((entry) => typeof (entry as Named | null)?.name !== 'string');
  if (spoilt !== -1) throw unmergeable(file, `entry ${spoilt + 1} of '${list}' has no name`);
  return value as Named[];
}

/** What kuberc needs when its owner allows listed plugins alone (`credentialPluginPolicy: Allowlist`, kubectl 1.35). */
export function kubercLines(command: string): readonly string[] {
  return ['credentialPluginAllowlist:', `  - command: ${command}`];
}
