import { describe, expect, test } from 'vitest';
import type { Artefact } from './artefact.ts';
import type { Smoke } from './smoke.ts';
import { problemsOf } from './verdict.ts';

const own: Artefact = { file: '/release/own.tar.gz', install: 'true' };
const other: Artefact = { file: '/release/other.tar.gz' };
const elsewhere: Artefact = { file: '/release/package.tgz', testedBy: 'npm test' };
const passed: Smoke = { result: 'passed', reason: '' };
const notRun: Smoke = { result: 'not run', reason: 'not root' };
const failed: Smoke = { result: 'failed', reason: 'it does not start' };
const problems = (artefact: Artefact, smoke: Smoke, isDryRun: boolean) =>
  problemsOf([artefact], [smoke], { isDryRun });

describe('a release', () => {
  test('needs a test of everything for its own architecture', () => {
    expect(problems(own, notRun, false)).toEqual(['own.tar.gz: not run: not root']);
    expect(problems(own, passed, false)).toEqual([]);
  });

  test('takes what is for another architecture, and what has a test of its own', () => {
    expect(problems(other, notRun, false)).toEqual([]);
    expect(problems(elsewhere, notRun, false)).toEqual([]);
  });

  test('has a problem where nothing was tested', () => {
    expect(problemsOf([own], [], { isDryRun: false })).toEqual(['own.tar.gz: not run: nothing tested it']);
  });
});

test('a dry run says what could not be tested and goes on', () => {
  expect(problems(own, notRun, true)).toEqual([]);
});

test.each([own, other, elsewhere])('a failure of $file counts in a dry run and in a release', (artefact) => {
  expect(problems(artefact, failed, true)).toHaveLength(1);
  expect(problems(artefact, failed, false)).toHaveLength(1);
});
