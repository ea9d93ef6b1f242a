// The test files there are. A suite is what one thread compiles and runs at once, under one deadline: a file of
// tests with the helpers it needs, or a batch of scenarios (each is small, and compiling takes longest).
import { basename } from 'node:path';
import { generatedTests } from './generate.ts';
import { CONTRACTS, type Files, readPackage } from './move.ts';
import { scenarioTests } from './scenarios.ts';

export interface Suite {
  readonly name: string;
  readonly files: Files;
}

export interface Suites {
  readonly suites: readonly Suite[];
  readonly scenarioCount: number;
  /** `module::EName` of every named error that a test or scenario expects. */
  readonly expectedAborts: ReadonlySet<string>;
}

const SCENARIOS_IN_A_BATCH = 16;

/** Hand-written tests (`tests/*_tests.move`; other files there are helpers), generated ones, and scenarios. */
export function collectSuites(seed: number): Suites {
  const { 'Move.toml': _manifest, ...written } = readPackage(CONTRACTS, ['tests']);
  const all = { ...written, ...generatedTests(seed) };
  const isHelper = (path: string): boolean => !path.endsWith('_tests.move');
  const helpers = Object.fromEntries(Object.entries(all).filter(([path]) => isHelper(path)));
  const own = Object.entries(all)
    .filter(([path]) => !isHelper(path))
    .map(([path, text]) => ({ name: basename(path, '.move'), files: { ...helpers, [path]: text } }));
  const scenarios = scenarioTests();
  return {
    suites: [...own, ...batches(scenarios.files)],
    scenarioCount: scenarios.scenarioCount,
    expectedAborts: new Set([...Object.values(all).flatMap(abortsIn), ...scenarios.aborts]),
  };
}

/** The named errors that the tests of a file expect. */
function abortsIn(text: string): string[] {
  return [...text.matchAll(/abort_code\s*=\s*(?:\w+::)*?(\w+)::(E\w+)/g)].map(
    (match) => `${match[1]}::${match[2]}`,
  );
}

function batches(files: Files): Suite[] {
  const { 'tests/scenario_support.move': support = '', ...stories } = files;
  const entries = Object.entries(stories);
  const suites: Suite[] = [];
  for (let from = 0; from < entries.length; from += SCENARIOS_IN_A_BATCH) {
    const batch = entries.slice(from, from + SCENARIOS_IN_A_BATCH);
    suites.push({
      name: `scenarios ${from + 1} to ${from + batch.length}`,
      files: { 'tests/scenario_support.move': support, ...Object.fromEntries(batch) },
    });
  }
  return suites;
}
