import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

const directory = join(import.meta.dirname, '..', '.github', 'workflows');

interface Workflow {
  readonly permissions?: object;
  readonly jobs: Readonly<
    Record<string, { 'timeout-minutes'?: number; steps: Array<{ uses?: string; run?: string }> }>
  >;
}

describe.each(readdirSync(directory))('the workflow %s', (name) => {
  const workflow = parse(readFileSync(join(directory, name), 'utf8')) as Workflow;
  const jobs = Object.values(workflow.jobs);
  const steps = jobs.flatMap((job) => job.steps);

  test('names the rights of its token and ends by itself', () => {
    expect(workflow.permissions).toBeDefined();
    for (const job of jobs) expect(job['timeout-minutes']).toBeLessThanOrEqual(90);
  });

  test('pins each action of others by the digest of a commit', () => {
    for (const { uses } of steps.filter((step) => step.uses !== undefined))
      expect(uses).toMatch(/^(?:\.\/|[\w.-]+\/[\w./-]+@[0-9a-f]{40}$)/);
  });

  test('puts nothing that others write into a script: values come by variables', () => {
    for (const { run } of steps) expect(run ?? '').not.toContain('${{');
  });

  const shellcheck = spawnSync('shellcheck', ['--version']).status === 0;
  test.skipIf(!shellcheck)('has scripts that shellcheck accepts (needs shellcheck)', () => {
    for (const { run } of steps.filter((step) => step.run !== undefined)) {
      const { status, stdout } = spawnSync('shellcheck', ['--shell=bash', '-'], {
        encoding: 'utf8',
        input: run,
      });
      expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    }
  });
});
