import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { violations } from './import-law.ts';
import { documentTable, lintOverrides } from './import-law-files.ts';

/**
 * `--check`: fails when biome.law.json or docs/architecture.md is not what the import law gives, or when a file breaks the law.
 * Without it: writes both files.
 */
const root = join(import.meta.dirname, '..');
const BEGIN = '<!-- import law: begin -->';
const END = '<!-- import law: end -->';

function lintRules(): string {
  return `${JSON.stringify({ overrides: lintOverrides() }, null, 1)}\n`;
}

function architecture(): string {
  const text = read('docs/architecture.md');
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`docs/architecture.md lacks ${BEGIN} and ${END}`);
  return `${before}${BEGIN}\n${documentTable()}\n${END}${after}`;
}

/** Re-exports and imports without a name are seen here alone: the linter's rule passes over them. */
function brokenLaw(): readonly string[] {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], {
    cwd: root,
    encoding: 'utf8',
  });
  return files
    .split('\n')
    .filter((file) => file !== '' && existsSync(join(root, file)))
    .flatMap((file) => violations(file, read(file)).map((specifier) => `${file} imports ${specifier}`));
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const outputs = { 'biome.law.json': lintRules(), 'docs/architecture.md': architecture() };
if (process.argv.includes('--check')) {
  const stale = Object.entries(outputs)
    .filter(([file, text]) => read(file) !== text)
    .map(([file]) => `${file} is not what scripts/import-law.ts gives: run \`node scripts/run.mjs law\``);
  const problems = [
    ...stale,
    ...brokenLaw().map((line) => `${line}, which scripts/import-law.ts does not allow`),
  ];
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
} else {
  for (const [file, text] of Object.entries(outputs)) writeFileSync(join(root, file), text);
}
