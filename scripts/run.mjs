// The one entry of every npm script. It runs on the Node that a machine happens to have (20 or newer), installs
// what the lockfile names, and goes on under the Node 24 that comes as a package. Plain JavaScript for that reason.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isInstalled } from './is-installed.mjs';
import { runChild } from './run-child.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SOURCE = ['--conditions=source'];
const VITEST = 'node_modules/vitest/vitest.mjs';

const projects = (...names) => names.flatMap((name) => ['--project', name]);
/** The Move formatter of the chain's makers: a grammar in WebAssembly, so it needs no compiler and no network. */
const MOVE_FORMAT = [
  'node',
  'node_modules/prettier/bin/prettier.cjs',
  '--log-level=warn',
  'contracts/{sources,tests,framework}/**/*.move',
];

/** name → list of steps; a step is [program, ...arguments]; 'node' is always Node 24 or newer. */
const TASKS = {
  demo: [['node', ...SOURCE, 'integration/demo/main.ts', '...']],
  test: [
    ['node', ...SOURCE, 'contracts/test/run.ts'],
    ['node', VITEST, 'run', ...projects('unit', 'integration', 'real'), '...'],
  ],
  // The quick doors: no contracts first, one project, in a second or two.
  'test:unit': [['node', VITEST, 'run', '--project', 'unit', '...']],
  'test:watch': [['node', VITEST, 'watch', '--project', 'unit', '...']],
  'test:one': [['node', VITEST, 'run', ...projects('unit', 'integration', 'real'), '...filters']],
  'test:changed': [['node', VITEST, 'run', '--project', 'unit', '--changed', '...']],
  debug: [
    [
      'node',
      '--inspect-brk',
      VITEST,
      'run',
      ...projects('unit', 'integration'),
      '--no-file-parallelism',
      '--test-timeout=0',
      '...filters',
    ],
  ],
  'test:kube': [['node', VITEST, 'run', '--project', 'kube', '...']],
  'test:haproxy': [['node', VITEST, 'run', '--project', 'haproxy', '...']],
  'test:containers': [['node', VITEST, 'run', '--project', 'containers', '...']],
  types: [['node', 'node_modules/typescript/bin/tsc', '-p', '.']],
  lint: [
    ['node', 'node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'],
    [
      'node',
      'node_modules/oxlint/bin/oxlint',
      '--type-aware',
      '--deny-warnings',
      '-D',
      'typescript/no-floating-promises',
      '-D',
      'typescript/no-misused-promises',
      'src',
      'devnet',
      'plugins',
      'integration',
      'contracts',
      'scripts',
    ],
    [...MOVE_FORMAT, '--check'],
    // Nothing that nobody uses: exports, files, packages.
    ['node', 'node_modules/knip/bin/knip.js', '--no-progress', '--treat-config-hints-as-errors'],
  ],
  format: [
    ['node', 'node_modules/@biomejs/biome/bin/biome', 'check', '--write', '.'],
    [...MOVE_FORMAT, '--write'],
  ],
  build: [
    ['node', 'scripts/bundle.ts'],
    ['node', 'scripts/bundle-types.ts'],
    ['node', ...SOURCE, 'scripts/generate-man-page.ts'],
  ],
  'contracts:build': [['node', ...SOURCE, 'contracts/test/build.ts', '...']],
  'contracts:test': [['node', ...SOURCE, 'contracts/test/run.ts', '...']],
  'contracts:mutants': [['node', ...SOURCE, 'contracts/test/mutants.ts', '...']],
};
// What is generated must be what its sources give today.
TASKS.law = [['node', ...SOURCE, 'scripts/generate-import-law.ts', '...']];
TASKS.attacks = [['node', ...SOURCE, 'scripts/generate-attacks.ts']];
TASKS.bench = [['node', ...SOURCE, 'bench/run.ts', '...']];
TASKS.openapi = [['node', ...SOURCE, 'scripts/generate-openapi.ts']];
TASKS.metrics = [['node', ...SOURCE, 'scripts/generate-metrics.ts']];
TASKS.attestation = [['node', ...SOURCE, 'scripts/generate-attestation.ts']];
TASKS.release = [...TASKS.build, ['node', ...SOURCE, 'scripts/release/main.ts', '...']];
// npm runs it within `npm version`.
TASKS.version = [['node', ...SOURCE, 'scripts/release/set-version.ts']];
TASKS.images = [...TASKS.build, ['node', ...SOURCE, 'scripts/images/main.ts', '...']];
TASKS.units = [['node', ...SOURCE, 'scripts/generate-units.ts']];
TASKS.generated = [
  [...TASKS.law[0].slice(0, -1), '--check'],
  ['node', ...SOURCE, 'contracts/test/build.ts', '--check'],
  ['node', ...SOURCE, 'scripts/generate-bindings.ts', '--check'],
];
TASKS.check = [...TASKS.types, ...TASKS.lint, ...TASKS.generated];

const [task, ...rest] = process.argv.slice(2);
const steps = TASKS[task];
if (!steps) {
  console.error(`unknown task '${task ?? ''}'; known: ${Object.keys(TASKS).join(', ')}`);
  process.exit(2);
}

await install();
const node = node24();
for (const [program, ...args] of steps) {
  const argv = args.flatMap((argument) => {
    if (argument === '...') return rest;
    return argument === '...filters' ? testFilters(rest) : [argument];
  });
  await run(program === 'node' ? node : program, argv);
}

/** A path chooses files; any other words are a part of the tests' names. */
function testFilters(words) {
  const isPath = (word) => word.startsWith('-') || word.includes('/') || word.endsWith('.ts');
  const name = words.filter((word) => !isPath(word)).join(' ');
  return [...words.filter(isPath), ...(name === '' ? [] : ['--testNamePattern', name])];
}

/** Installs exactly what the lockfile names, unless that is what is there: also after an `npm ci` by hand. */
async function install() {
  if (isInstalled(documentAt('package-lock.json'), documentAt('node_modules/.package-lock.json'))) return;
  console.error('installing the packages the lockfile names (once) …');
  // No package needs its install script here: Node 24 comes as a plain archive.
  const npm = ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  // Signals are passed on; where the machine has setpriv, it ends with us by SIGKILL too.
  const [program, ...argv] = existsSync('/usr/bin/setpriv')
    ? ['/usr/bin/setpriv', '--pdeathsig=TERM', ...npm]
    : npm;
  const exitCode = await runChild(program, argv, { cwd: root, stdio: ['ignore', 2, 2] });
  if (exitCode === 0) return;
  console.error('npm ci failed: see its message above');
  process.exit(exitCode);
}

function documentAt(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8'));
  } catch {
    return undefined;
  }
}

/** The running Node if it is new enough, else the packaged one. */
function node24() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  const packaged = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (existsSync(packaged)) return packaged;
  console.error(
    `Node ${process.versions.node} is too old and no packaged Node 24 exists for ${process.platform}-${process.arch}: install Node 24 or newer`,
  );
  return process.exit(1);
}

async function run(program, argv) {
  // The packaged Node goes first on PATH, so that what the step starts finds the same one.
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` };
  const exitCode = await runChild(program, argv, { cwd: root, env });
  if (exitCode !== 0) process.exit(exitCode);
}
