import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { agentCommand } from '../src/cli/agent.ts';
import { clusterCommand } from '../src/cli/cluster.ts';
import { configCommand } from '../src/cli/config.ts';
import { contractsCommand } from '../src/cli/contracts.ts';
import { devnetCommand } from '../src/cli/devnet.ts';
import { doctorCommand } from '../src/cli/doctor.ts';
import { gatewayCommand } from '../src/cli/gateway.ts';
import { installCommand } from '../src/cli/install.ts';
import { createIo } from '../src/cli/io.ts';
import { pluginsCommand } from '../src/cli/plugins.ts';
import { proofCommand } from '../src/cli/proof.ts';
import { slashCommand } from '../src/cli/slash.ts';
import { stakeCommand } from '../src/cli/stake.ts';
import { uninstallCommand } from '../src/cli/uninstall.ts';

const root = join(import.meta.dirname, '..');
const io = createIo({ json: true });
type Command = ReturnType<typeof agentCommand>;
const program: Pick<Command, 'commands' | 'options'> = {
  options: [],
  commands: [
    agentCommand,
    clusterCommand,
    configCommand,
    contractsCommand,
    devnetCommand,
    doctorCommand,
    gatewayCommand,
    installCommand,
    pluginsCommand,
    proofCommand,
    slashCommand,
    stakeCommand,
    uninstallCommand,
  ].map((make) => make(io)),
};

/** What is wrong with a command line as a text names it, `gateway setup --reserve NAME`; undefined: it can be typed. */
function problemWith(line: string): string | undefined {
  const words = line.split(/\s+/).filter((word) => word !== '');
  let command = program;
  let name = 'k3s-daas';
  for (const word of words) {
    if (word.startsWith('-')) {
      const flag = word.split('=', 1)[0];
      const isKnown = command.options.some(({ long, short }) => long === flag || short === flag);
      if (!isKnown) return `${name} has no flag ${flag}`;
      continue;
    }
    const inner = command.commands.find((one) => one.name() === word);
    if (!inner && command.commands.length > 0) return `${name} has no command ${word}`;
    if (!inner) continue;
    command = inner;
    name = word;
  }
  return undefined;
}

const texts = [
  'docs/errors.md',
  ...['src/**/*.ts', 'plugins/**/*.ts'].flatMap((pattern) => globSync(pattern, { cwd: root })),
]
  .filter((path) => !/\.(test|suite|fixture)\b/.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

test('every command that an error or docs/errors.md names as its remedy can be typed', () => {
  const named = texts.flatMap(({ path, text }) =>
    [...text.matchAll(/[`']k3s-daas ([a-z][^`'$|,;\n\\]*)(?!\\n|[^`'$|,;\n\\])/g)].map(([, line = '']) => ({
      path,
      line: line.trim(),
    })),
  );
  expect(named.length).toBeGreaterThan(15);
  const wrong = named.flatMap(({ path, line }) => {
    const problem = problemWith(line);
    return problem === undefined ? [] : [`${path}: k3s-daas ${line}: ${problem}`];
  });
  expect(wrong).toEqual([]);
});

test('a remedy that no command offers is named as the call of the contract that it is', () => {
  const contracts = readFileSync(join(root, 'docs/contracts.md'), 'utf8');
  const rows = readFileSync(join(root, 'docs/errors.md'), 'utf8')
    .split('\n')
    .map((row) => row.split(' | '))
    .filter((cells) => cells.length === 4);
  expect(rows.length).toBeGreaterThan(100);
  for (const [code, , remedy = ''] of rows) {
    // Of these there is no command: a user would look for one.
    if (
      /\b(?:rotate|revoke|unstake|withdraw|top (?:it )?up|end the stake)\b/i.test(
        remedy.replaceAll(/`[^`]*`/g, ''),
      )
    )
      throw new Error(`${code} says what no command does: ${remedy}`);
    for (const [, name = ''] of remedy.matchAll(/`\w+::(\w+)`/g))
      expect([code, contracts.includes(`\`${name}\``)]).toEqual([code, true]);
  }
});
