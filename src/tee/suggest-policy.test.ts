import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { devTpm } from './dev-tpm.ts';
import type { Evidence } from './evidence.ts';
import { look } from './look.ts';
import { type Policy, parsePolicy } from './policy.ts';
import { runCommand } from './run-command.ts';
import { SAMPLES, sample } from './samples.fixture.ts';
import { suggestPolicy } from './suggest-policy.ts';
import { NOW } from './trial.fixture.ts';
import type { Claims } from './verdict.ts';
import { verify } from './verify.ts';

/** As `tee policy` writes it, and `tee verify` reads it. */
function suggested(evidence: Evidence, claims: Claims, more: object = {}, program?: string): Policy {
  return parsePolicy(
    JSON.stringify({ ...suggestPolicy(evidence, claims, { program }), ...more }),
    'the test',
  );
}

test.each(SAMPLES)('%s is accepted by the policy that is suggested for it', async (name) => {
  const { evidence, policy } = await sample(name);
  const { claims } = verify(evidence, policy, { nowMs: NOW });
  if (!claims) throw new Error('the sample shows nothing');
  // A root of our own counts in no production policy.
  const roots = policy.mode === 'dev' ? { mode: 'dev', devRoots: policy.devRoots } : {};
  const verdict = verify(evidence, suggested(evidence, claims, roots), { nowMs: NOW });
  expect(verdict.reasons).toEqual([]);
  expect(verdict.measurement).toBe('as shown by the evidence');
});

test('a TPM shows its key and its registers to a look, and the policy names those with a value', async () => {
  const value = Buffer.alloc(32, 3);
  const pcrs = new Map([
    [0, value],
    [4, value],
    [8, Buffer.alloc(32)],
    [11, value],
  ]);
  const { keyName, ...evidence } = devTpm({ pcrs });
  const { claims, reasons } = await look(evidence, { nowMs: NOW });
  expect(reasons).toEqual([]);
  if (!claims) throw new Error('it shows nothing');
  const { accept } = suggested(evidence, claims);
  const hex = value.toString('hex');
  expect(accept.tpm).toEqual({
    attestationKeys: [keyName],
    measurements: [{ name: 'as shown by the evidence', pcrs: { 0: hex, 4: hex, 11: hex } }],
  });
  expect(verify(evidence, suggested(evidence, claims), { nowMs: NOW }).accepted).toBe(true);
  const other = devTpm({ pcrs });
  expect(
    verify(other, suggested(evidence, claims), { nowMs: NOW }).reasons.map(({ check }) => check),
  ).toEqual(['attestation-key-unknown']);
});

test('a quote of registers that nothing was measured into gives no policy', async () => {
  const { keyName: _, ...evidence } = devTpm({ pcrs: new Map([[8, Buffer.alloc(32)]]) });
  const { claims } = await look(evidence, { nowMs: NOW });
  expect(() => suggestPolicy(evidence, claims as Claims)).toThrow('shows no value of PCR 0, 2, 4');
});

test('evidence that only a program reads is shown by it, and the policy names the program', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tee-look-'));
  try {
    const program = join(directory, 'read');
    const answer = { accepted: true, platform: 'CCA', measurement: 'm', covers: 'firmware only' };
    await writeFile(program, `#!/bin/sh\necho '${JSON.stringify({ ...answer, reportData: null })}'\n`);
    await chmod(program, 0o700);
    const evidence: Evidence = { kind: 'command', format: 'cca', bytes: Buffer.of(1), collateral: [] };
    const { claims, reasons } = await look(evidence, { nowMs: NOW, program });
    expect(reasons).toEqual([]);
    const policy = suggested(evidence, claims as Claims, {}, program);
    const outcome = await runCommand(evidence, policy, { nowMs: NOW });
    expect(verify(evidence, policy, { nowMs: NOW, outcome })).toMatchObject({
      accepted: true,
      covers: 'firmware only',
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});
