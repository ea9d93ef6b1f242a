/** Files of variables as systemd (`EnvironmentFile=`) and a shell (OpenRC sources them) both read them. */

export type Variables = Readonly<Record<string, string>>;

/** Reads what k3s' installer and ours write: `NAME=value`, quoted or not, with or without `export`. */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [, name, value = ''] = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) variables[name] = unquote(value.trim());
  }
  return variables;
}

function unquote(text: string): string {
  // As `export` of a shell writes a text with a quote in it: 'it'\''s'.
  return [...text.matchAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^'"\\]+)/g)]
    .map(([, single, double, escaped, plain]) =>
      double === undefined ? (single ?? escaped ?? plain ?? '') : double.replaceAll(/\\(["\\`$])/g, '$1'),
    )
    .join('');
}

export function formatEnvironmentFile(variables: Variables): string {
  return Object.entries(variables)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}=${quoteValue(value)}\n`)
    .join('');
}

function quoteValue(value: string): string {
  if (!value.includes("'")) return /^[\w@%+=:,./-]*$/.test(value) ? value : `'${value}'`;
  return `"${value.replaceAll(/["\\`$]/g, '\\$&')}"`;
}

/** k3s' variables that say what the gateway says: the agent refuses to start with them. */
const gatewaysOwn = /^K3S_(?:URL|TOKEN|TOKEN_FILE|AGENT_TOKEN|AGENT_TOKEN_FILE|CLUSTER_SECRET|NODE_NAME)$/;
/** Ours (not those of tests), those of the document this system started from, and what k3s' installer keeps. */
const kept =
  /^(?:K3S_(?!DAAS_TEST_)\w+|CONTAINERD_\w+|(?:HTTPS?|NO)_PROXY|(?:https?|no)_proxy|SUI_RPC_ENDPOINT|CONTRACT_ADDRESS|MOCK_MODE|TEE_MODE|STAKER_CONFIG_PATH)$/;

export interface ServiceVariables {
  readonly variables: Record<string, string>;
  /** Names that were left out because the gateway decides them. */
  readonly dropped: readonly string[];
}

/** What a unit keeps of an environment and of an earlier file; the environment wins. */
export function serviceVariables(
  earlier: Variables,
  environment: Readonly<Record<string, string | undefined>>,
): ServiceVariables {
  const given = Object.entries(environment).filter(
    (entry): entry is [string, string] => kept.test(entry[0]) && Boolean(entry[1]),
  );
  const all = { ...earlier, ...Object.fromEntries(given) };
  const names = Object.keys(all);
  return {
    variables: Object.fromEntries(Object.entries(all).filter(([name]) => !gatewaysOwn.test(name))),
    dropped: names.filter((name) => gatewaysOwn.test(name)).toSorted(),
  };
}
