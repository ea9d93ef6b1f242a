// `contracts:test`: compiles the contracts, and runs every Move test there is, hand-written, generated and made from
// scenarios, on the own minimal framework and, where they can be had, on Sui's real framework sources.
//
//   --only <word>   only test files whose name contains the word (no coverage check then)
//   CONTRACTS_SEED  seed of the generated cases (printed; random unless set)
//   SUI_FRAMEWORK_DIR, see real-framework.ts
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fitToVm } from './fit.ts';
import { frameworkInterface, interfaceDifferences, namedErrors } from './modules.ts';
import {
  BUILD_FILE,
  type Build,
  builderName,
  CONTRACTS,
  compile,
  type Framework,
  ownFramework,
  readPackage,
} from './move.ts';
import { TestPool } from './pool.ts';
import { realFramework } from './real-framework.ts';
import { collectSuites, type Suite } from './suites.ts';

const DEADLINE_MS = Number(process.env.CONTRACTS_DEADLINE_MS ?? 120_000);
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined;
const seed = Number(process.env.CONTRACTS_SEED ?? Math.floor(Math.random() * 2 ** 31));

let passed = 0;
let failed = 0;
let tests = 0;
const check = (good: boolean, name: string, why = ''): void => {
  if (good) passed += 1;
  else failed += 1;
  console.log(`${good ? 'ok    ' : 'FAILED'} ${name}${good || why === '' ? '' : `\n${indent(why)}`}`);
};

const own = ownFramework();
const sources = readPackage(CONTRACTS);
const ownBuild = await compile(sources, own);
check(ownBuild.warnings === '', 'the sources compile without a warning or lint', ownBuild.warnings);
check(
  sameModules(committedModules(), ownBuild.modules),
  'contracts/build/k3s_daas.json is what the sources compile to',
  'run: npm run contracts:build',
);

const { suites, scenarioCount, expectedAborts } = collectSuites(seed);
const wanted = suites.filter((suite) => only === undefined || suite.name.includes(only));
console.log(`seed of the generated cases: ${seed} (CONTRACTS_SEED=${seed} repeats them)`);

const real = realFramework();
await runAll(own);
if (typeof real === 'string') {
  console.log(`Ran on ${own.name} alone. The real framework sources: ${real}.`);
} else {
  const { framework: fitted, stubbed } = await fitToVm(real);
  if (stubbed.length > 0)
    console.log(
      `The VM of ${await builderName()} does not know the natives of ${stubbed.join(', ')}: they abort here.`,
    );
  await runAll(fitted);
  const realBuild = await compile(sources, real);
  check(
    sameModules(ownBuild.modules, realBuild.modules) && ownBuild.digest === realBuild.digest,
    'our modules are byte for byte the same on both frameworks',
    differentModules(ownBuild, realBuild),
  );
  const differences = interfaceDifferences(await frameworkInterface(own), await frameworkInterface(real));
  check(
    differences.length === 0,
    'every datatype and public function of the own framework is as in the real one',
    differences.join('\n'),
  );
  console.log(`Ran on ${own.name} and on ${real.name}.`);
}

let coverage = 'a part of the tests only';
if (only === undefined) {
  const errors = namedErrors(ownBuild.modules);
  const missing = errors.filter((error) => !expectedAborts.has(`${error.module}::${error.name}`));
  check(
    missing.length === 0,
    'every named error is expected by a test',
    missing.map((error) => `${error.module}::${error.name}: no test expects it`).join('\n'),
  );
  coverage = `${scenarioCount} scenarios, ${errors.length - missing.length} of ${errors.length} named aborts covered`;
}
console.log(`${tests} Move tests, ${coverage}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function runAll(framework: Framework): Promise<void> {
  console.log(`\non ${framework.name}:`);
  const pool = new TestPool(framework, Math.min(2, availableParallelism()), DEADLINE_MS);
  await Promise.all(wanted.map((suite) => runSuite(pool, framework, suite)));
  await pool.close();
}

async function runSuite(pool: TestPool, framework: Framework, suite: Suite): Promise<void> {
  const outcome = await pool.run({ ...sources, ...suite.files });
  const time = `${(outcome.durationMs / 1000).toFixed(1)} s`;
  if (framework === own) tests += outcome.tests.length;
  for (const test of outcome.tests) {
    // What the runner says of failures is printed once, below.
    check(test.passed, test.name.replace('k3s_daas::', ''));
  }
  if (outcome.failure !== undefined) check(false, `${suite.name} (${time})`, outcome.failure);
  else if (outcome.tests.length === 0)
    check(false, `${suite.name} (${time})`, `no test was run\n${outcome.output}`);
  else if (!outcome.passed) console.log(indent(outcome.output));
  console.log(`       ${suite.name}: ${outcome.tests.length} tests in ${time}`);
  if (!outcome.passed) console.log(`       the text of these tests is below ${keep(suite)}`);
}

/** Writes the files of a suite down, since some of them exist nowhere else. */
function keep(suite: Suite): string {
  const directory = join(dirname(CONTRACTS), '.cache', 'contracts');
  for (const [path, text] of Object.entries(suite.files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

function committedModules(): Record<string, string> {
  try {
    return (JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as Build).modules;
  } catch {
    return {};
  }
}

function sameModules(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

function differentModules(a: Build, b: Build): string {
  const names = Object.keys(a.modules).filter((name) => a.modules[name] !== b.modules[name]);
  return `different: ${names.join(', ')}; digests ${a.digest} and ${b.digest}`;
}

function indent(text: string): string {
  return text.replace(/^/gm, '         ');
}
