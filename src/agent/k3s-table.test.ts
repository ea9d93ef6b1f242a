import { expect, test } from 'vitest';
import { ConfigurationError } from '#base';
import { type AgentSources, effectiveFlags, readAgentFacts } from './arguments.ts';
import { configFilePath, readK3sConfig } from './k3s-config.ts';
import { lastValueOf, parseGoBool, valuesOf, variables } from './k3s-flags.ts';
import { layOut, type SettingsRow, settingsTable } from './k3s-table.fixture.ts';
import { parseGoInteger } from './k3s-yaml.ts';

/** k3s takes these in silence and then does what no person can have meant; ours refuses them before the stake. */
const refusedByUsAlone = new Map([
  ['a key that is a flag and another', 'the value of --node-label holds another flag'],
  ['a link to nowhere silences all files', 'cannot be read'],
  ['a switch takes no next word: the rest is lost', "'true' is not a flag"],
  ['a word ends the flags', "'agent' is not a flag"],
  ['two dashes end the flags', "'--' is not a flag"],
  ['one dash ends the flags', "'-' is not a flag"],
  ['a value flag takes a flag as its value', '--node-label has no value'],
  ['the flag is also seen among values', '--node-label has no value'],
  ['two flags in one word are one value', 'the value of --node-label holds another flag'],
  ['a help key', '--help makes k3s print its flags'],
  ['a url as the config file', 'is a URL'],
  ['the variable K3S_CLUSTER_SECRET=x', 'sets cluster-secret'],
]);
/** A value that an empty one takes back: refused all the same, since it says that somebody meant to set it. */
const takenBack = [
  'nulls in a list',
  'an empty flag wins over the file',
  'an empty key wins over a variable',
];
/** A flag of a newer k3s is not known here: k3s itself is asked about it (binary.test.ts). */
const leftToK3s =
  /flag provided but not defined: -[\w-]+\+?$|Cannot use two forms of the same flag: (?!d data-dir)/;

async function taken(row: SettingsRow): Promise<{ sources: AgentSources; directory: string }> {
  await using laid = await layOut(row);
  const { argv, env, directory } = laid;
  const files = await readK3sConfig(configFilePath({ argv, env }));
  return { sources: { argv, env, files }, directory };
}

/** Our reading in the words of the table. */
function seen({ argv, env, files }: AgentSources): Record<string, unknown> {
  const flags = effectiveFlags({ argv, env, files });
  const names = new Set([...flags.map(({ name }) => name), ...variables.keys()]);
  names.delete('config');
  const result: Record<string, unknown> = {};
  for (const name of names) {
    const value = lastValueOf(name, flags, env);
    const list = valuesOf(name, flags).map((flag) => flag.value);
    if (value === undefined) continue;
    if (lists.has(name)) result[name] = list;
    else if (switches.has(name)) {
      if (parseGoBool(value) === true) result[name] = true;
    } else if (numbers.has(name)) {
      if (value !== '') result[name] = Number(parseGoInteger(value.replaceAll('_', '')));
    } else result[name] = value;
  }
  return result;
}
const lists = new Set(['node-label', 'node-taint', 'kubelet-arg', 'node-ip']);
const switches = new Set(['debug', 'selinux', 'rootless', 'with-node-id']);
const numbers = new Set(['v', 'lb-server-port']);

test.each(settingsTable.filter(({ name, takes }) => takes && !refusedByUsAlone.has(name)))(
  'k3s and we read the same: $name',
  async (row) => {
    const { sources } = await taken(row);
    expect(seen(sources)).toEqual(row.takes?.flags);
  },
);

test.each(settingsTable.filter(({ name, takes }) => takes && !refusedByUsAlone.has(name)))(
  'the data directory is the one of k3s, and what is ours is refused: $name',
  async (row) => {
    const { sources, directory } = await taken(row);
    const { token, server, 'token-file': tokenFile, 'node-name': nodeName } = row.takes?.flags ?? {};
    const isOurs =
      token ||
      server ||
      tokenFile ||
      nodeName ||
      row.takes?.flags['with-node-id'] ||
      takenBack.includes(row.name);
    const read = () => readAgentFacts(sources, 'w1', { uid: 0, workingDirectory: directory });
    if (isOurs) expect(read).toThrow(expect.objectContaining({ code: 'DAAS_AGENT_SETTING_CONFLICT' }));
    else expect(read().dataDir).toBe(row.takes?.dataDir.replace('{dir}', directory));
  },
);

test.each(settingsTable.filter(({ refuses }) => refuses !== undefined && !leftToK3s.test(refuses)))(
  'what k3s refuses is refused before the stake: $name',
  async (row) => {
    const reading = taken(row).then(({ sources }) => effectiveFlags(sources));
    await expect(reading).rejects.toBeInstanceOf(ConfigurationError);
  },
);

test.each([...refusedByUsAlone])(
  'what k3s takes in a way that no person can mean is refused: %s',
  async (name, message) => {
    const row = settingsTable.find((other) => other.name === name) as SettingsRow;
    const reading = taken(row).then(({ sources }) =>
      readAgentFacts(sources, 'w1', { uid: 0, workingDirectory: '/' }),
    );
    await expect(reading).rejects.toMatchObject({ exitCode: 78, message: expect.stringContaining(message) });
  },
);
