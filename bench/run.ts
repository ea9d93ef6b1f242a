import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type BenchRow, ROWS } from './rows.ts';
import { figure, isReached, type Measured, markdownTable, overBudget, plot, spreadOf } from './table.ts';

/**
 * `npm run bench`: every row, then the table, docs/benchmarks.md and its plot. `--short`: the rows that have a short form, within a
 * minute; prints, writes nothing. Either fails when a figure has lost a third of its budget.
 */
const isShort = process.argv.includes('--short');
const root = join(import.meta.dirname, '..');

const rows = ROWS.filter(({ short }) => !isShort || short !== undefined);
const printed = new Map<string, Array<Readonly<Record<string, unknown>>>>();
for (const row of rows) {
  const argv = argvOf(row);
  if (!printed.has(argv.join(' '))) printed.set(argv.join(' '), await run(argv));
}
const measured = rows.map((row): Measured => {
  const all = printed.get(argvOf(row).join(' ')) ?? [];
  return { row, samples: all.map(row.sample).filter((value) => value !== undefined) };
});

const widest = Math.max(...measured.map(({ row }) => row.name.length)) + 2;
for (const { row, samples } of measured) {
  const { median, least, most } = spreadOf(samples);
  const reached = isReached({ row, samples });
  const verdict = reached === undefined ? '' : reached ? '  reached' : `  target ${row.target} ${row.unit}`;
  const text =
    samples.length === 0
      ? 'not measured'
      : `${figure(median)} ${row.unit} (${figure(least)} – ${figure(most)}, ${samples.length} turns)${verdict}`;
  console.log(`${row.name.padEnd(widest)}${text}`);
}
if (!isShort) {
  writeFileSync(join(root, 'docs/benchmarks.svg'), plot(measured));
  writeFileSync(join(root, 'docs/benchmarks.md'), page(measured));
}
const lost = overBudget(measured);
for (const text of lost) console.error(`over budget: ${text}`);
if (lost.length > 0) process.exitCode = 1;

function argvOf({ argv, short }: BenchRow): readonly string[] {
  return isShort ? (short ?? argv) : argv;
}

/** One script; the objects that it has printed. One that fails has measured nothing, and says why. */
async function run([script = '', ...argv]: readonly string[]): Promise<
  Array<Readonly<Record<string, unknown>>>
> {
  const child = spawn(process.execPath, ['--conditions=source', join(import.meta.dirname, script), ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const found: Array<Readonly<Record<string, unknown>>> = [];
  for await (const line of createInterface({ input: child.stdout }))
    if (line.startsWith('{')) found.push(JSON.parse(line) as Readonly<Record<string, unknown>>);
  const code = await ended;
  if (code === 0) return found;
  console.error(`bench/${script} ended with ${code}`);
  process.exitCode = 1;
  return [];
}

function page(all: readonly Measured[]): string {
  const [cpu] = cpus();
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: root,
    encoding: 'utf8',
  }).trim();
  return `# Benchmarks

Made by \`npm run bench\`, which writes this page. Each figure is the median over the turns of one run; what is compared runs by turns in
the same run. CPU and ratios hold on a busy machine, times do not.

${cpus().length} × ${cpu?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.versions.node}, commit ${commit}, load at the end ${loadavg()
    .map((one) => one.toFixed(1))
    .join(' ')}.

${markdownTable(all)}

![each turn a dot, the median a bar, the target a dashed line](benchmarks.svg)

A run fails when a figure with a budget (\`bench/rows.ts\`) has lost more than a third of it; CI runs the short form. What the scripts
measure and how to run one alone: [bench](../bench/README.md).
`;
}
