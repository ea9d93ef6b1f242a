import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian's packages swtpm and tpm2-tools. */
export const missingTpmPrograms: readonly string[] = ['swtpm', 'tpm2_quote'].filter(
  (program) => spawnSync(program, ['--version']).error !== undefined,
);
/** For the title of a suite that is skipped. */
export const tpmNeeds =
  missingTpmPrograms.length > 0
    ? ` (needs ${missingTpmPrograms.join(', ')}: apt install swtpm tpm2-tools)`
    : '';

/** A handle for a key that stays in the TPM. */
export const AK_HANDLE = '0x81010002';

/** A TPM 2.0 in software, as it is in a machine that was just started. */
export interface SoftTpm extends AsyncDisposable {
  /** For TPM2TOOLS_TCTI. */
  readonly tcti: string;
  readonly directory: string;
  /** Runs one of tpm2-tools in the directory. */
  tool(program: string, ...argv: readonly string[]): Promise<{ readonly stdout: string }>;
  /** Measures something into a register. */
  extend(index: number, digest: string): Promise<void>;
  /** Makes an attestation key and keeps it under `AK_HANDLE`; resolves with its name, hexadecimal. */
  makeKey(algorithm?: 'ecc' | 'rsa'): Promise<string>;
}

export async function startSwtpm(): Promise<SoftTpm> {
  const directory = await mkdtemp(join(tmpdir(), 'swtpm-'));
  const socket = join(directory, 'tpm.sock');
  const tcti = `swtpm:path=${socket}`;
  const ways = ['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`];
  const state = ['--tpmstate', `dir=${directory}`, '--flags', 'not-need-init,startup-clear'];
  const child = spawn('swtpm', ['socket', '--tpm2', ...ways, ...state], { stdio: 'ignore' });
  const env = { ...process.env, TPM2TOOLS_TCTI: tcti };
  const tool = (program: string, ...argv: readonly string[]) => run(program, argv, { cwd: directory, env });
  const forget = () => tool('tpm2_flushcontext', '-t');
  await reachable(`${socket}.ctrl`);
  return {
    tcti,
    directory,
    tool,
    async extend(index, digest) {
      await tool('tpm2_pcrextend', `${index}:sha256=${digest}`);
    },
    async makeKey(algorithm = 'ecc') {
      const scheme = algorithm === 'ecc' ? 'ecdsa' : 'rsassa';
      await tool('tpm2_createek', '-Q', '-c', 'ek.ctx', '-G', algorithm);
      await forget();
      const ak = ['-C', 'ek.ctx', '-c', 'ak.ctx', '-G', algorithm, '-g', 'sha256', '-s', scheme];
      await tool('tpm2_createak', '-Q', ...ak, '-u', 'ak.pub', '-f', 'tss', '-n', 'ak.name');
      await forget();
      // A key stays in the TPM under a handle; the file of a context is good until the TPM starts again.
      await tool('tpm2_evictcontrol', '-Q', '-c', 'ak.ctx', AK_HANDLE);
      return (await readFile(join(directory, 'ak.name'))).toString('hex');
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function reachable(path: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(path, () => {
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
