import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loginFileText } from '#login';

/**
 * CPU of commands that only ask, and of a login, of the built program (`npm run build`), beside an empty program of the same Node, by
 * turns.
 *
 * usage: node --conditions=source bench/commands.ts [turns [EXECUTABLE]]
 *
 * With a single executable (`npm run release -- --dry-run --only executable`) its login is measured too.
 */
const turns = Number(process.argv[2] ?? 5);
const program = join(import.meta.dirname, '..', 'dist', 'k3s-daas.js');
const example = join(import.meta.dirname, '..', 'config.example.json');
const executable = process.argv[3];
const directory = mkdtempSync(join(tmpdir(), 'bench-commands-'));
process.once('exit', () => rmSync(directory, { recursive: true }));
const credential = ['credential', '--login', makeLogin(), '--any-caller'];

interface Measured {
  readonly argv: readonly string[];
  readonly exitCode: number;
  /** What runs it; this Node unless given. */
  readonly program?: string;
}
const commands: Readonly<Record<string, Measured>> = {
  help: { argv: [program, '--help'], exitCode: 0 },
  // No gateway answers there: everything but the answer.
  'gateway nodes': {
    argv: [program, 'gateway', 'nodes', '--socket', '/nowhere/operator.sock'],
    exitCode: 1,
  },
  config: { argv: [program, 'config', '--config', example], exitCode: 0 },
  credential: { argv: [program, ...credential], exitCode: 0 },
  ...(executable !== undefined && {
    'credential of the executable': { program: executable, argv: credential, exitCode: 0 },
  }),
};

if (!existsSync(program)) {
  console.error(`there is no ${program}: npm run build`);
  process.exit(0);
}
for (let turn = 0; turn <= turns; turn += 1) {
  const bareSeconds = cpuOf(['-e', ''], 0);
  for (const [command, { argv, exitCode, program: file }] of Object.entries(commands)) {
    const seconds = cpuOf(argv, exitCode, file);
    // The first turn reads the files from the disk.
    if (turn > 0) console.log(JSON.stringify({ turn, command, seconds, bareSeconds }));
  }
}

/** User and system time of a process, by the shell: Node has none of its children. Another exit code measures another thing. */
function cpuOf(argv: readonly string[], exitCode: number, file = process.execPath): number {
  const script = `TIMEFORMAT="%U %S"; time "$0" "$@" >/dev/null 2>&1; test $? = ${exitCode}`;
  const said = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`, file, ...argv], {
    encoding: 'utf8',
  });
  const [user = 0, system = 0] = said.trim().split(/\s+/).slice(-2).map(Number);
  return Math.round((user + system) * 1_000) / 1_000;
}

/** A login that no cluster knows, with its key. */
function makeLogin(): string {
  const keyFile = join(directory, 'login.key');
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const id = (digit: string) => `0x${digit.repeat(64)}`;
  const subject = { clusterId: id('a'), wallet: id('b'), sealTokenId: id('c') };
  const file = join(directory, 'login.json');
  const text = loginFileText({ ...subject, chainId: 'chain', key: { kind: 'file', file: keyFile } });
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}
