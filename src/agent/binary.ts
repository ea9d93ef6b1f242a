import { access, constants, open, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { ConfigurationError, DaasError, messageOf } from '#base';
import { trustedFile } from '#infrastructure';
import { configurationFault } from './log-lines.ts';
import { runToEnd } from './process.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the binary (`DAAS_AGENT_BINARY_MISSING`): a path, or a name on PATH and in the directories of the k3s installer. A file
 * that other users can replace is rejected (`DAAS_FILE_UNTRUSTED`).
 */
export async function findBinary(binary: string, env: Environment): Promise<string> {
  const candidates = binary.includes('/')
    ? [isAbsolute(binary) ? binary : resolve(binary)]
    : [...(env.PATH ?? '').split(delimiter), '/usr/local/bin', '/opt/bin']
        .filter((directory) => directory !== '')
        .map((directory) => join(directory, binary));
  for (const candidate of candidates) {
    if (!(await isProgram(candidate))) continue;
    trustedFile(candidate, { what: 'the k3s binary', origin: 'agent.binary' });
    return candidate;
  }
  throw new ConfigurationError(
    'DAAS_AGENT_BINARY_MISSING',
    `no k3s binary: '${binary}' (agent.binary) is not an executable file${binary.includes('/') ? '' : ' on PATH, in /usr/local/bin or /opt/bin'}. Install k3s, or set agent.binary to its path`,
    { details: { binary, candidates } },
  );
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** e_machine of an ELF header, by the names of Node and of Linux. */
const machines: ReadonlyMap<number, { readonly name: string; readonly runsOn: readonly string[] }> = new Map([
  [3, { name: 'i386', runsOn: ['ia32', 'x64'] }],
  [40, { name: 'arm', runsOn: ['arm', 'arm64'] }],
  [62, { name: 'amd64', runsOn: ['x64'] }],
  [183, { name: 'arm64', runsOn: ['arm64'] }],
  [243, { name: 'riscv64', runsOn: ['riscv64'] }],
  [22, { name: 's390x', runsOn: ['s390x'] }],
  [21, { name: 'ppc64le', runsOn: ['ppc64'] }],
]);

/**
 * Rejects a file that this machine cannot run (`DAAS_AGENT_BINARY_INVALID`). The kernel's error cannot be used for that:
 * execvp then runs the file as a shell script.
 */
async function refuseForeignProgram(path: string, architecture: string = process.arch): Promise<void> {
  const fault = programFault(await headOf(path), architecture);
  if (fault === undefined) return;
  throw notK3s(
    path,
    `${fault}; install k3s for this machine (${architecture}), or set agent.binary to its path`,
  );
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(20);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export function programFault(head: Buffer, architecture: string): string | undefined {
  if (head.toString('latin1', 0, 2) === '#!') return undefined;
  if (head.length < 20 || head.toString('latin1', 0, 4) !== '\x7fELF')
    return 'it is neither an ELF program nor a script that names its interpreter';
  const isLittleEndian = head[5] === 1;
  const machine = isLittleEndian ? head.readUInt16LE(18) : head.readUInt16BE(18);
  const known = machines.get(machine);
  if (known?.runsOn.includes(architecture)) return undefined;
  return `it is built for ${known?.name ?? `a machine of ELF type ${machine}`}`;
}

export interface Question {
  readonly binary: string;
  /** All arguments of `k3s agent`, those of its config files first. */
  readonly words: readonly string[];
  readonly configFile: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lets k3s check its own settings without starting anything: its launcher reads the config files and parses all flags before
 * it prints its help. Returns the version. Throws `DAAS_AGENT_BINARY_INVALID` when the file is not a k3s that runs here, and
 * `DAAS_AGENT_SETTINGS_REFUSED` with k3s' own message when it rejects a setting.
 */
export async function askK3s(question: Question): Promise<string> {
  const { binary, words, configFile } = question;
  await refuseForeignProgram(binary);
  const [version, files, flags] = await Promise.all([
    ask(question, ['--version']),
    configFile === undefined ? nothingAsked : ask(question, ['help', 'agent'], configFile),
    // --help comes first: k3s then reads a stray argument as an unknown help topic. After a stray argument it ignores --help.
    ask(question, ['agent', '--help', ...words]),
  ]);
  // k3s calls itself by the name of its file.
  const name = /^\S+ version (v\d\S*) \(/m.exec(version.stdout)?.[1];
  if (name === undefined)
    throw notK3s(
      binary,
      `\`${binary} --version\` ${version.ended} and does not say 'k3s version v…'; set agent.binary to the path of k3s`,
    );
  for (const { isFine, stdout, stderr, ended } of [files, flags])
    if (!isFine)
      throw new ConfigurationError(
        'DAAS_AGENT_SETTINGS_REFUSED',
        `k3s ${name} (${binary}) refuses its settings: ${configurationFault(`${stderr}\n${stdout}`) ?? `it ${ended}`}; correct agent.args, the command line or ${configFile ?? "k3s' config file"} (its flags: k3s agent --help)`,
        { details: { binary, version: name } },
      );
  return name;
}

interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly isFine: boolean;
  readonly ended: string;
}

const nothingAsked: Answer = { stdout: '', stderr: '', isFine: true, ended: '' };
const patienceMs = 60_000;

async function ask(
  { binary, env, signal }: Question,
  argv: readonly string[],
  configFile?: string,
): Promise<Answer> {
  const { K3S_CONFIG_FILE: _, ...others } = env;
  const end = await runToEnd(binary, argv, {
    env: { ...others, ...(configFile === undefined ? {} : { K3S_CONFIG_FILE: configFile }) },
    timeoutMs: patienceMs,
    signal,
  });
  signal?.throwIfAborted();
  if (end.kind === 'late')
    throw new DaasError(
      'DAAS_AGENT_BINARY_SILENT',
      `\`${binary} ${argv[0]}\` did not end within ${patienceMs} ms: is this machine overloaded, or agent.binary no k3s?`,
      { isRetryable: true },
    );
  if (end.kind === 'not-started')
    throw notK3s(binary, `it cannot be run: ${messageOf(end.cause)}; set agent.binary to the path of k3s`);
  const { stdout, stderr, exitCode, signal: endedBy } = end;
  return {
    stdout,
    stderr,
    isFine: exitCode === 0,
    ended: endedBy ? `was ended by ${endedBy}` : `ends with ${exitCode}`,
  };
}

function notK3s(binary: string, why: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_AGENT_BINARY_INVALID',
    `${binary} (agent.binary) is not a k3s that runs on this machine: ${why}`,
    { details: { binary } },
  );
}
