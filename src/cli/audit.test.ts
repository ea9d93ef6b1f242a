import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAuditSigner, openAudit, publicHexOf } from '#gateway';
import { auditCommand } from './audit.ts';
import { createIo } from './io.ts';

let directory: string;
let config: string;
let audit: string;
const { privateKey } = generateKeyPairSync('ed25519');
const key = publicHexOf(privateKey);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'audit-command-'));
  const stateDir = directory;
  audit = join(stateDir, 'audit.jsonl');
  config = join(directory, 'k3s-daas.json');
  const tls = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') };
  const gateway = { stateDir, tls, server: 'https://k3s.example:6443' };
  const chain = { endpoints: ['http://127.0.0.1:9'] };
  await writeFile(config, JSON.stringify({ chain, gateway }));
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(join(directory, 'signing.key'), pem, { mode: 0o600 });
  await using log = await openAudit(audit, () => 0, { signer: createAuditSigner(privateKey, '0xgateway') });
  await log.note('node.evicted', { node_id: 'worker-1', request_id: 'r1' });
  await log.note('node.evicted', { node_id: 'worker-2', request_id: 'r2' });
});
afterEach(async () => {
  process.exitCode = undefined;
  await rm(directory, { recursive: true });
});

/** What a command prints, as JSON, and its exit code. */
async function run(...argv: readonly string[]) {
  const stdout = new PassThrough();
  const io = createIo({ json: true, stdout, stderr: new PassThrough() });
  process.exitCode = undefined;
  await auditCommand(io)
    .exitOverride()
    .parseAsync([...argv, '--json'], { from: 'user' });
  return { exitCode: process.exitCode ?? 0, ...JSON.parse(String(stdout.read())) };
}

async function text(...argv: readonly string[]): Promise<string> {
  const stdout = new PassThrough();
  const io = createIo({ json: false, stdout, stderr: new PassThrough() });
  await auditCommand(io)
    .exitOverride()
    .parseAsync([...argv], { from: 'user' });
  return String(stdout.read());
}

test('verify on the gateway’s machine checks chain, keyed hashes and checkpoints, and elsewhere with the key alone', async () => {
  expect(await run('verify', '--config', config)).toMatchObject({
    exitCode: 0,
    lines: 4,
    macs: 4,
    signedThrough: 3,
    signaturesChecked: true,
    keyedHashesChecked: true,
  });
  const elsewhere = await run('verify', audit, '--key', key);
  expect(elsewhere).toMatchObject({ exitCode: 0, macs: 0, signedThrough: 3, keyedHashesChecked: false });
  expect(await run('verify', audit)).toMatchObject({ exitCode: 0, signaturesChecked: false, keys: [key] });
  expect((await text('verify', audit, '--key', key)).split('\n')).toEqual([
    expect.stringMatching(/^lines +4 in 1 file, 1 to 4$/),
    expect.stringMatching(/^checkpoints +\d, signed through line 3, 1 lines after it$/),
    expect.stringMatching(/^keyed hashes +not checked/),
    expect.stringMatching(/^head +4:[0-9a-f]{64}$/),
    '',
    'Whole: no line is lost, changed or chained anew.',
    '',
  ]);
  const { sequence, hash } = elsewhere.head;
  expect(await run('verify', audit, '--head', `${sequence}:${hash}`)).toMatchObject({ exitCode: 0 });
});

test('verify names file and line of a change, and exits with 1', async () => {
  const lines = (await readFile(audit, 'utf8')).split('\n');
  await writeFile(audit, lines.with(1, lines[1]?.replace('worker-1', 'worker-9') ?? '').join('\n'));
  expect(await run('verify', '--config', config)).toMatchObject({
    exitCode: 1,
    problemCount: 1,
    problems: [{ file: audit, line: 2, fault: 'changed' }],
  });
  expect(await text('verify', '--config', config)).toContain(
    `${audit}:2: its hash is not that of its content`,
  );
});

test('show filters by node, event and request', async () => {
  expect(await run('show', audit, '--node', 'worker-2')).toMatchObject({
    lines: [{ seq: 3, event: 'node.evicted' }],
  });
  expect((await run('show', audit, '--event', 'node.', '--last', '1')).lines).toMatchObject([{ seq: 3 }]);
  expect((await run('show', audit, '--last', '3')).lines).toMatchObject([{ seq: 2 }, { seq: 3 }, { seq: 4 }]);
  expect((await run('show', audit, '--request', 'r1')).lines).toMatchObject([{ node_id: 'worker-1' }]);
  expect(await text('show', audit, '--node', 'worker-2')).toContain('node_id=worker-2 request_id=r2');
  expect(await text('show', audit, '--node', 'worker-3')).toBe(`no such line among the 4 of ${audit}\n`);
});

test('export writes the lines about a node, which verify proves with the public key', async () => {
  const out = join(directory, 'worker-1.json');
  expect(await run('export', audit, '--node', 'worker-1', '--out', out)).toMatchObject({
    lines: 1,
    proven: 1,
  });
  expect(await run('verify', out, '--key', key)).toMatchObject({ exitCode: 0, proven: 1, node: 'worker-1' });
  expect(await readFile(out, 'utf8')).not.toContain('worker-2');
  expect(await text('verify', out, '--key', key)).toContain('Each is as the gateway wrote it.');
  const unproven = join(directory, 'unproven.json');
  const { lines, ...exported } = JSON.parse(await readFile(out, 'utf8'));
  await writeFile(
    unproven,
    JSON.stringify({ ...exported, lines: [{ line: lines[0].line }], checkpoints: [] }),
  );
  expect(await text('verify', unproven, '--key', key)).toContain('1 have no proof: nothing shows that');
  await writeFile(out, (await readFile(out, 'utf8')).replace('r1', 'r9'));
  expect(await run('verify', out, '--key', key)).toMatchObject({ exitCode: 1, problems: [{ line: 1 }] });
  await expect(run('export', audit, '--node', 'worker-1', '--out', out)).rejects.toMatchObject({
    code: 'DAAS_FILE_UNWRITABLE',
  });
});

test('what is no audit file, no key, no head and no count is refused with the fix', async () => {
  const invalid = { code: 'DAAS_COMMAND_LINE_INVALID' };
  await expect(run('verify', audit, '--key', 'abc')).rejects.toMatchObject(invalid);
  await expect(run('verify', audit, '--head', '7')).rejects.toMatchObject(invalid);
  await expect(run('show', audit, '--last', '0')).rejects.toMatchObject(invalid);
  const unreadable = { code: 'DAAS_AUDIT_UNREADABLE' };
  await expect(run('verify', join(directory, 'nothing'))).rejects.toMatchObject(unreadable);
  const empty = await mkdtemp(join(directory, 'empty-'));
  await expect(run('verify', empty)).rejects.toMatchObject(unreadable);
});

test('verify with a path and a key needs no configuration, and asks no chain for one that cannot be read', async () => {
  const own = join(directory, 'signing.key');
  const missing = join(directory, 'no-such.json');
  expect(await run('verify', audit, '--config', missing, '--signing-key', own)).toMatchObject({
    exitCode: 0,
    anchors: null,
  });
});

test('verify looks at the file also where the chain cannot be asked, and says so', async () => {
  const { chain, gateway } = JSON.parse(await readFile(config, 'utf8'));
  const keyFile = join(directory, 'no-wallet.key');
  const anchoring = {
    chain: { ...chain, probe: { keyFile } },
    gateway: { ...gateway, audit: { anchor: 'daily' } },
  };
  await writeFile(config, JSON.stringify(anchoring));
  expect(await run('verify', '--config', config)).toMatchObject({
    exitCode: 1,
    lines: 4,
    problemCount: 0,
    anchors: { checked: false, failure: expect.stringContaining('no-wallet.key') },
  });
  expect(await text('verify', '--config', config)).toContain('NOT CHECKED');
  expect(await run('verify', '--config', config, '--no-anchor')).toMatchObject({
    exitCode: 0,
    anchors: null,
  });
});
