import { ConfigurationError } from '#base';
import { parseGoInteger } from './k3s-yaml.ts';

/** An argument that k3s will read as a flag, with the place it comes from. */
export interface FlagWord {
  readonly text: string;
  readonly origin: string;
  /** What to do about it, as an instruction. */
  readonly fix: string;
}

export interface Flag extends FlagWord {
  /** The long name. */
  readonly name: string;
  /** As it was written: k3s refuses two forms of one flag. */
  readonly given: string;
  readonly value: string;
}

type Kind = 'switch' | 'text' | 'number' | 'list';
const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...named(
    'switch',
    `debug alsologtostderr with-node-id selinux protect-kernel-defaults disable-default-registry-endpoint
     nonroot-devices enable-pprof rootless prefer-bundled-bin docker disable-apiserver-lb help
     disable-selinux no-flannel`,
  ),
  ...named('number', 'v lb-server-port'),
  ...named(
    'list',
    `node-label node-taint kubelet-arg kube-proxy-arg node-ip node-external-ip node-internal-dns node-external-dns
     airgap-extra-registry`,
  ),
  ...named(
    'text',
    `config vmodule log token token-file server data-dir node-name image-credential-provider-bin-dir
     image-credential-provider-config container-runtime-endpoint image-service-endpoint default-runtime pause-image
     snapshotter private-registry bind-address resolv-conf flannel-iface flannel-conf flannel-cni-conf vpn-auth
     vpn-auth-file cluster-secret`,
  ),
]);
const aliases: ReadonlyMap<string, string> = new Map([
  ['c', 'config'],
  ['l', 'log'],
  ['t', 'token'],
  ['s', 'server'],
  ['d', 'data-dir'],
  ['i', 'node-ip'],
  ['h', 'help'],
]);
/** A value counts when neither flag nor file gives one. k3s no longer reads the last; older ones do. */
export const variables: ReadonlyMap<string, string> = new Map([
  ['debug', 'K3S_DEBUG'],
  ['token', 'K3S_TOKEN'],
  ['token-file', 'K3S_TOKEN_FILE'],
  ['server', 'K3S_URL'],
  ['data-dir', 'K3S_DATA_DIR'],
  ['node-name', 'K3S_NODE_NAME'],
  ['selinux', 'K3S_SELINUX'],
  ['lb-server-port', 'K3S_LB_SERVER_PORT'],
  ['resolv-conf', 'K3S_RESOLV_CONF'],
  ['vpn-auth', 'K3S_VPN_AUTH'],
  ['vpn-auth-file', 'K3S_VPN_AUTH_FILE'],
  ['cluster-secret', 'K3S_CLUSTER_SECRET'],
]);

function named(kind: Kind, names: string): Array<readonly [string, Kind]> {
  return names.split(/\s+/).map((name) => [name, kind]);
}

/**
 * Splits arguments as Go's flag package does: one dash or two, `=value` or the next argument, a switch with `=value` only.
 * Rejects what k3s would reject after the stake is made, and what k3s accepts silently although it cannot be intended
 * (`DAAS_AGENT_ARGUMENT_INVALID`, `DAAS_AGENT_SETTING_CONFLICT` for a token outside its flag).
 */
export function parseFlags(words: readonly FlagWord[]): Flag[] {
  const flags: Flag[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as FlagWord;
    const flag = parseWord(word, words[index + 1]);
    if (flag.takesNext) index++;
    refuseMeaningless(flag);
    flags.push(flag);
  }
  refuseTwoForms(flags);
  return flags;
}

function parseWord(word: FlagWord, next: FlagWord | undefined): Flag & { takesNext: boolean } {
  const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word.text);
  if (!match) throw stray(word);
  const given = match[1] as string;
  const name = aliases.get(given) ?? given;
  const kind = kinds.get(name);
  if (kind === undefined) refuseUnknown(word, given, match[2] === undefined ? next : undefined);
  const flag = { ...word, name, given };
  if (match[2] !== undefined) return { ...flag, value: match[2], takesNext: false };
  if (kind === 'switch') return { ...flag, value: 'true', takesNext: false };
  if (kind === undefined) return { ...flag, value: '', takesNext: false };
  if (next === undefined || isKnownFlag(next.text))
    throw invalid(word, `--${name} has no value`, `write --${name}=VALUE`);
  return { ...flag, value: next.text, takesNext: true };
}

/** k3s is asked about names that are not known here. These are not even passed to it. */
function refuseUnknown(word: FlagWord, given: string, next: FlagWord | undefined): void {
  const [first = ''] = given.split(/\s/, 1);
  if (first !== given)
    throw invalid(
      word,
      `${shown(`--${first}`)} and its value are one word`,
      'leave it out, or put = between them',
    );
  if (!/^[A-Za-z][A-Za-z0-9_-]*$/.test(given) || (given.length > 1 && !word.text.startsWith('--')))
    throw stray(word);
  if (next !== undefined && !next.text.startsWith('-'))
    throw invalid(
      word,
      `${shown(`--${given}`)} is not known here, so that its value cannot be told from a stray word`,
      'put = between them',
    );
}

function refuseMeaningless(flag: Flag): void {
  const { name, value } = flag;
  if (/K10[0-9a-f]*::/i.test(name === 'token' || name === 'cluster-secret' ? '' : value))
    throw new ConfigurationError(
      'DAAS_AGENT_SETTING_CONFLICT',
      `the value of --${name} (${flag.origin}) holds a join token, which everybody on the machine could read there: the join credential comes from the gateway; ${flag.fix}`,
      { details: { setting: name, origin: flag.origin } },
    );
  const kind = kinds.get(name);
  if (kind === 'switch' && parseGoBool(value) === undefined)
    throw invalid(flag, `--${name} is a switch, and its value is none that k3s takes`, 'give true or false');
  if (kind === 'number' && parseGoInteger(value.replaceAll('_', '')) === undefined)
    throw invalid(flag, `--${name} takes a whole number`, 'give one');
  if (name === 'help' && parseGoBool(value) === true)
    throw invalid(flag, '--help makes k3s print its flags and end', 'leave it out');
  // The arguments of a VPN provider are flags of its own.
  if (name !== 'vpn-auth' && /\s--?[A-Za-z][\w-]*(?:[=\s]|$)/.test(value))
    throw invalid(flag, `the value of --${name} holds another flag`, 'give each flag as a word of its own');
}

function refuseTwoForms(flags: readonly Flag[]): void {
  const first = new Map<string, Flag>();
  for (const flag of flags) {
    const other = first.get(flag.name) ?? flag;
    if (other.given !== flag.given)
      throw invalid(
        flag,
        `--${flag.name} is given in two forms, ${other.given} (${other.origin}) and ${flag.given}, which k3s refuses`,
        `write ${flag.name} in both places`,
      );
    first.set(flag.name, other);
  }
}

/** Go's strconv.ParseBool. */
export function parseGoBool(text: string): boolean | undefined {
  if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(?:0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

function isKnownFlag(text: string): boolean {
  const name = /^--?([^=]+)/.exec(text)?.[1] ?? '';
  return kinds.has(aliases.get(name) ?? name);
}

function stray(word: FlagWord): ConfigurationError {
  return invalid(
    word,
    `${shown(word.text)} is not a flag of k3s agent`,
    "give flags only, without 'k3s agent' before them, each value after '=' or as the next word",
  );
}

function invalid({ origin }: FlagWord, what: string, fix: string): ConfigurationError {
  return new ConfigurationError('DAAS_AGENT_ARGUMENT_INVALID', `${what} (${origin}): ${fix}`, {
    details: { origin },
  });
}

/** A stray argument may be a token: a message repeats it only if it cannot be one. */
function shown(word: string): string {
  return /^(?:\w[\w-]{0,14}|--[a-z][a-z0-9-]{0,30}|-{1,2})$/.test(word)
    ? `'${word}'`
    : `a word of ${word.length} characters`;
}

/** The value that k3s takes for a flag with one value: the last that is given, else the variable's. */
export function lastValueOf(
  name: string,
  flags: readonly Flag[],
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return flags.findLast((flag) => flag.name === name)?.value ?? env[variables.get(name) ?? ''];
}

/** Every value of a list flag, in the order of k3s. */
export function valuesOf(name: string, flags: readonly Flag[]): Flag[] {
  return flags.filter((flag) => flag.name === name);
}

/** The arguments without a flag that is added after them: k3s rejects two forms of one flag (`-d` and `--data-dir`). */
export function withoutFlag(name: string, argv: readonly string[]): string[] {
  return parseFlags(argv.map((text) => ({ text, origin: 'agent.args', fix: '' })))
    .filter((flag) => flag.name !== name)
    .flatMap(({ text, given, value }) => (text.includes('=') || switchNamed(given) ? [text] : [text, value]));
}

function switchNamed(given: string): boolean {
  const kind = kinds.get(aliases.get(given) ?? given);
  return kind === 'switch' || kind === undefined;
}
