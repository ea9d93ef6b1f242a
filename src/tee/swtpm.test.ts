import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Evidence } from './evidence.ts';
import { policyOf } from './policy.fixture.ts';
import { tpmProvider } from './provide-tpm.ts';
import { verify } from './verify.ts';

/** Quotes of a TPM as the industry's own tools make them: TPM 2.0 in software (swtpm), and tpm2-tools. */
const missing = ['swtpm', 'tpm2_quote'].filter(
  (program) => spawnSync(program, ['--version']).error !== undefined,
);
const named = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';
const REPORT_DATA = Buffer.alloc(64, 0xcd);
const PCRS = [0, 4, 11];
const HANDLE = '0x81010002';
const run = promisify(execFile);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.skipIf(missing.length > 0)(`a TPM in software${named}`, () => {
  let directory: string;
  let env: NodeJS.ProcessEnv;
  let stop: () => void = () => undefined;
  const tool = (program: string, ...argv: readonly string[]) => run(program, argv, { cwd: directory, env });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'swtpm-'));
    // swtpm listens on two ports; tpm2-tools take the second to be the next after the first.
    const port = await freePort();
    env = { ...process.env, TPM2TOOLS_TCTI: `swtpm:host=127.0.0.1,port=${port}` };
    const argv = [
      'socket',
      '--tpm2',
      '--server',
      `type=tcp,port=${port}`,
      '--ctrl',
      `type=tcp,port=${port + 1}`,
    ];
    const state = ['--tpmstate', `dir=${directory}`, '--flags', 'not-need-init,startup-clear'];
    const child = spawn('swtpm', [...argv, ...state], { stdio: 'ignore' });
    stop = () => child.kill('SIGKILL');
    await reachable(port + 1);
    for (const index of PCRS) {
      const digest = index.toString(16).padStart(64, '0');
      await tool('tpm2_pcrextend', `${index}:sha256=${digest.replace(/^0/, '1')}`);
    }
  }, 60_000);

  afterAll(async () => {
    stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function quoted(algorithm: 'ecc' | 'rsa'): Promise<{ evidence: Evidence; name: string }> {
    const scheme = algorithm === 'ecc' ? 'ecdsa' : 'rsassa';
    await tool('tpm2_createek', '-Q', '-c', 'ek.ctx', '-G', algorithm);
    await tool('tpm2_flushcontext', '-t');
    const ak = ['-C', 'ek.ctx', '-c', 'ak.ctx', '-G', algorithm, '-g', 'sha256', '-s', scheme];
    await tool('tpm2_createak', '-Q', ...ak, '-u', 'ak.pub', '-f', 'tss', '-n', 'ak.name');
    await tool('tpm2_flushcontext', '-t');
    // A key stays in the TPM under a handle; the file of a context is good until the TPM starts again.
    await tool('tpm2_evictcontrol', '-Q', '-c', 'ak.ctx', HANDLE);
    try {
      const { evidence } = await provider().provide(REPORT_DATA, AbortSignal.timeout(60_000));
      return { evidence, name: (await readFile(join(directory, 'ak.name'))).toString('hex') };
    } finally {
      await tool('tpm2_evictcontrol', '-Q', '-c', HANDLE);
    }
  }

  const provider = (attestationKey: string | undefined = HANDLE) =>
    tpmProvider({ attestationKey, pcrs: PCRS, tcti: env.TPM2TOOLS_TCTI });

  test.each(['ecc', 'rsa'] as const)(
    'a quote by an %s key is accepted for its key, its PCRs and its report data',
    { timeout: 60_000 },
    async (algorithm) => {
      const { evidence, name } = await quoted(algorithm);
      const seen = verify(evidence, policyOf({ tpm: { attestationKeys: [name], measurements: 'any' } }), {
        nowMs: 0,
      });
      const measured = seen.claims?.measurements ?? {};
      const pcrs = Object.fromEntries(PCRS.map((index) => [index, measured[`pcr${index}`]]));
      const policy = policyOf(
        { tpm: { attestationKeys: [name], measurements: [{ name: 'this machine', pcrs }] } },
        { minimumCoverage: 'firmware, kernel, initrd' },
      );
      expect(verify(evidence, policy, { nowMs: 0, reportData: REPORT_DATA })).toMatchObject({
        accepted: true,
        reasons: [],
        measurement: 'this machine',
        covers: 'firmware, kernel, initrd',
      });
      const other = verify(evidence, policy, { nowMs: 0, reportData: Buffer.alloc(64) });
      expect(other.reasons.map(({ check }) => check)).toEqual(['report-data-mismatch']);
    },
  );

  test('after something else was measured, the quote is of another machine', {
    timeout: 60_000,
  }, async () => {
    const before = await quoted('ecc');
    const first = verify(
      before.evidence,
      policyOf({ tpm: { attestationKeys: [before.name], measurements: 'any' } }),
      { nowMs: 0 },
    );
    await tool('tpm2_pcrextend', `4:sha256=${'77'.repeat(32)}`);
    const after = await quoted('ecc');
    const pcrs = { 4: first.claims?.measurements.pcr4 };
    const policy = policyOf({
      tpm: { attestationKeys: [before.name, after.name], measurements: [{ name: 'before', pcrs }] },
    });
    expect(verify(before.evidence, policy, { nowMs: 0 }).reasons).toEqual([]);
    expect(verify(after.evidence, policy, { nowMs: 0 }).reasons.map(({ check }) => check)).toEqual([
      'measurement-unknown',
    ]);
  });

  test('a key that is not there, or is none, makes no evidence', { timeout: 60_000 }, async () => {
    const signal = AbortSignal.timeout(60_000);
    await expect(provider().provide(REPORT_DATA, signal)).rejects.toMatchObject({
      code: 'DAAS_TEE_DEVICE_FAILED',
      message: expect.stringContaining('tpm2_readpublic failed') as string,
    });
    expect(await provider().find()).toMatchObject({ isHere: true });
    await expect(provider('--help').provide(REPORT_DATA, signal)).rejects.toMatchObject({
      code: 'DAAS_TEE_DEVICE_MISSING',
      message: expect.stringContaining('is no attestation key') as string,
    });
  });
});

async function reachable(port: number): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (isOpen) return;
    await sleep(50);
  }
  throw new Error('swtpm does not listen');
}
