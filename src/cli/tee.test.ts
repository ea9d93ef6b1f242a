import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatEvidence } from '#tee';
import { createIo } from './io.ts';
import { teeCommand } from './tee.ts';

/** Evidence that needs no hardware: a program of the operator's vouches for it. */
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tee-command-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const ANSWER = {
  accepted: true,
  platform: 'Arm CCA',
  measurement: 'realm-1',
  covers: 'application',
  reportData: null,
};

async function run(...argv: readonly string[]): Promise<{ out: string; error: unknown }> {
  const lines: string[] = [];
  const sink = () =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
  const io = createIo({
    json: argv.includes('--json'),
    stdout: sink(),
    stderr: new Writable({ write: (_c, _e, done) => done() }),
  });
  const error = await teeCommand(io)
    .exitOverride()
    .parseAsync([...argv], { from: 'user' })
    .then(() => undefined)
    .catch((caught: unknown) => caught);
  return { out: lines.join(''), error };
}

async function file(name: string, content: string, mode = 0o600): Promise<string> {
  await writeFile(join(directory, name), content, { mode });
  return join(directory, name);
}

function policyFor(program: string, measurement = 'realm-1'): string {
  return JSON.stringify({
    format: 'k3s-daas-tee-policy/1',
    mode: 'production',
    accept: {
      command: {
        programs: { 'arm-cca': { program } },
        measurements: [{ name: 'release', measurement, covers: 'application' }],
      },
    },
  });
}

async function world(answer: object = ANSWER) {
  const program = await file(
    'cca-verify',
    `#!/bin/sh\ncat > ${directory}/question\necho '${JSON.stringify(answer)}'\n`,
    0o700,
  );
  const evidence = await file(
    'evidence.json',
    formatEvidence({ kind: 'command', format: 'arm-cca', bytes: Buffer.from('token'), collateral: [] }),
  );
  return { program, evidence };
}

test('evidence is accepted by a policy and the program it names, which is told what to check', async () => {
  const { program, evidence } = await world();
  const policy = await file('policy.json', policyFor(program));
  const { out, error } = await run('verify', evidence, '--policy', policy);
  expect(error).toBeUndefined();
  expect(out).toContain('Accepted. What was measured covers: application.');
  expect(out).toContain('not compared: pass --report-data');
  expect(JSON.parse(await readFile(join(directory, 'question'), 'utf8'))).toMatchObject({
    format: 'arm-cca',
    evidence: Buffer.from('token').toString('base64'),
    reportData: null,
  });
});

test('evidence that is refused is shown with its reasons, on stdout too, and ends with an error', async () => {
  const { program, evidence } = await world();
  const policy = await file('policy.json', policyFor(program, 'realm-2'));
  const { out, error } = await run('verify', evidence, '--policy', policy, '--json');
  expect(error).toMatchObject({ code: 'DAAS_TEE_EVIDENCE_REFUSED', exitCode: 1 });
  expect(JSON.parse(out)).toMatchObject({
    accepted: false,
    reasons: [{ check: 'measurement-unknown' }],
  });
});

test('a program that fails, or answers nothing sensible, accepts nothing', async () => {
  const { evidence } = await world();
  const failing = await file('failing', '#!/bin/sh\nexit 3\n', 0o700);
  const rambling = await file('rambling', '#!/bin/sh\necho yes\n', 0o700);
  for (const [program, check] of [
    [failing, 'command-failed'],
    [rambling, 'command-answer-invalid'],
    ['/nowhere/verify', 'command-failed'],
  ] as const) {
    const policy = await file('policy.json', policyFor(program));
    const { error } = await run('verify', evidence, '--policy', policy);
    expect(error).toMatchObject({ details: { reasons: [{ check }] } });
  }
});

test('a policy that others can write is not trusted', async () => {
  const { program, evidence } = await world();
  const policy = await file('open.json', policyFor(program));
  const { chmod } = await import('node:fs/promises');
  await chmod(policy, 0o666);
  const { error } = await run('verify', evidence, '--policy', policy);
  expect(error).toMatchObject({ code: 'DAAS_FILE_UNTRUSTED' });
});

test('every mistake of a policy is named at once', async () => {
  const { evidence } = await world();
  const wrong = {
    format: 'k3s-daas-tee-policy/1',
    mode: 'production',
    devRoots: [],
    accept: { nitro: { measurements: [], maxAge: 'soon' } },
  };
  const policy = await file('policy.json', JSON.stringify(wrong));
  const { error } = await run('verify', evidence, '--policy', policy);
  expect(error).toMatchObject({ code: 'DAAS_TEE_POLICY_INVALID', exitCode: 78 });
  expect((error as Error).message).toMatch(/maxAge.*devRoots|devRoots.*maxAge/s);
});

test('a file that is no evidence is refused with the kinds that are known', async () => {
  const path = await file('noise', 'no evidence at all!');
  const { error } = await run('show', path);
  expect(error).toMatchObject({ code: 'DAAS_TEE_KIND_UNKNOWN' });
  expect((error as Error).message).toContain('nitro, nitrotpm, sev-snp, tdx, sgx, tpm, command');
  const missing = await run('show', join(directory, 'missing'));
  expect(missing.error).toMatchObject({ code: 'DAAS_TEE_FILE_UNREADABLE' });
});

test('a file of another form than collateral is refused', async () => {
  const path = await file(
    'collateral.json',
    JSON.stringify({ format: 'k3s-daas-collateral/1', items: [{ name: 'x' }] }),
  );
  const { error } = await run('collateral', 'show', path);
  expect(error).toMatchObject({ code: 'DAAS_TEE_COLLATERAL_INVALID' });
  expect((error as Error).message).toContain('items.0.name');
});

test('a list without an end and a reply that is none are shown, not a crash', async () => {
  const content = (text: string) => Buffer.from(text).toString('base64');
  const path = await file(
    'odd.json',
    JSON.stringify({
      format: 'k3s-daas-collateral/1',
      items: [
        { name: 'tcb-info', content: content('null') },
        {
          name: 'qe-identity',
          content: content(
            '{"enclaveIdentity":{"id":"QE","issueDate":"never","nextUpdate":"+275760-09-14"}}',
          ),
        },
      ],
    }),
  );
  const { out, error } = await run('collateral', 'show', path);
  expect(error).toBeUndefined();
  expect(out).toContain('not readable: it is no reply of Intel’s');
  expect(out).toMatch(/qe-identity\s+QE\s+–\s+–/);
});

test('a policy for evidence of the kind command names the program that was asked', async () => {
  const { program, evidence } = await world();
  expect((await run('policy', evidence)).error).toMatchObject({
    code: 'DAAS_COMMAND_LINE_INVALID',
    message: expect.stringContaining('--program'),
  });
  const { out, error } = await run('policy', evidence, '--program', program);
  expect(error).toBeUndefined();
  const policy = await file('suggested.json', out);
  expect((await run('verify', evidence, '--policy', policy)).error).toBeUndefined();
  expect((await run('show', evidence, '--program', program)).out).toContain('Arm CCA');
});

test('collateral is not written in the place of a link', async () => {
  const { symlink } = await import('node:fs/promises');
  const { evidence } = await world();
  const link = join(directory, 'link.json');
  await symlink('/dev/null', link);
  expect((await run('collateral', 'fetch', evidence, '--out', link)).error).toMatchObject({
    code: 'DAAS_TEE_FILE_UNREADABLE',
  });
  const fresh = join(directory, 'fresh.json');
  expect((await run('collateral', 'fetch', evidence, '--out', fresh)).error).toBeUndefined();
  expect(JSON.parse(await readFile(fresh, 'utf8'))).toMatchObject({ items: [] });
});

const BOUND = 'ab'.repeat(64);

test('the stand-in’s evidence passes under a policy that names its root, and under no production policy', async () => {
  const path = join(directory, 'made.json');
  const made = await run('evidence', '--report-data', BOUND, '--provider', 'dev', '--out', path, '--json');
  expect(made.error).toBeUndefined();
  const { devRoot, provider, found } = JSON.parse(made.out) as {
    devRoot: string;
    provider: string;
    found: object[];
  };
  expect([provider, found.length]).toEqual(['dev', 1]);
  const accept = {
    'sev-snp': {
      measurements: 'any',
      minimumTcb: { Milan: { bootloader: 0, tee: 0, snp: 0, microcode: 0 } },
    },
  };
  const policy = (more: object) =>
    JSON.stringify({ format: 'k3s-daas-tee-policy/1', minimumCoverage: 'platform only', accept, ...more });
  const dev = await file('dev.json', policy({ mode: 'dev', devRoots: [devRoot] }));
  expect((await run('verify', path, '--policy', dev, '--report-data', BOUND)).error).toBeUndefined();
  const other = await run('verify', path, '--policy', dev, '--report-data', 'cd'.repeat(64));
  expect(other.error).toMatchObject({ details: { reasons: [{ check: 'report-data-mismatch' }] } });
  const production = await file('production.json', policy({ mode: 'production' }));
  expect((await run('verify', path, '--policy', production)).error).toMatchObject({
    details: { reasons: [{ check: 'root-foreign' }] },
  });
});

test('a stand-in is never chosen by itself, and says what it is', async () => {
  const shown = await run('evidence', '--report-data', BOUND, '--provider', 'dev', '--kind', 'tdx');
  expect(shown.out).toContain('a stand-in of tdx: its root counts in no production policy');
  expect(shown.out).toContain('It proves nothing of this machine.');
  const { error } = await run('evidence', '--report-data', BOUND, '--provider', 'program');
  expect(error).toMatchObject({ code: 'DAAS_TEE_DEVICE_MISSING', exitCode: 78 });
  expect((error as Error).message).toContain('program: no program was named (--program)');
});

test.each([
  [['--report-data', 'ab'], 'DAAS_TEE_REPORT_DATA_INVALID'],
  [['--report-data', BOUND, '--provider', 'sgx'], 'DAAS_COMMAND_LINE_INVALID'],
  [['--report-data', BOUND, '--program', 'verify'], 'DAAS_COMMAND_LINE_INVALID'],
  [['--report-data', BOUND, '--pcrs', '0,24'], 'DAAS_COMMAND_LINE_INVALID'],
  [['--report-data', BOUND, '--provider', 'dev', '--kind', 'nitro'], 'DAAS_TEE_DEVICE_MISSING'],
])('tee evidence %j is refused by %s', async (words, code) => {
  expect((await run('evidence', ...words)).error).toMatchObject({ code, exitCode: 78 });
});

test('a collateral file is refreshed only where others cannot write it; what could not be fetched is said by 75', async () => {
  const content = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64');
  const dates = { issueDate: '2020-01-01T00:00:00Z', nextUpdate: '2020-02-01T00:00:00Z' };
  const items = [
    { name: 'qe-identity', content: content({ enclaveIdentity: { id: 'QE', ...dates } }) },
    {
      name: 'tcb-info',
      content: content({ tcbInfo: { id: 'SGX', ...dates } }),
      source: 'http://127.0.0.1:1/tcb',
    },
  ];
  const text = JSON.stringify({ format: 'k3s-daas-collateral/1', items });
  const path = await file('stale.json', text);
  const { out, error } = await run('collateral', 'refresh', path, '--json');
  expect(error).toMatchObject({ code: 'DAAS_TEE_COLLATERAL_UNREACHABLE', exitCode: 75 });
  expect(JSON.parse(out)).toMatchObject({ items: [{ outcome: 'kept' }, { outcome: 'failed' }] });
  expect(await readFile(path, 'utf8')).toBe(text);
  const { chmod } = await import('node:fs/promises');
  await chmod(path, 0o666);
  expect((await run('collateral', 'refresh', path)).error).toMatchObject({ code: 'DAAS_FILE_UNTRUSTED' });
  expect((await run('collateral', 'refresh', path, '--within', 'soon')).error).toMatchObject({
    code: 'DAAS_DURATION_INVALID',
  });
});
