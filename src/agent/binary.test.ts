import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askK3s, programFault } from './binary.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'binary-'));
});
afterEach(() => rm(directory, { recursive: true }));

function elf(machine: number): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF', 'latin1');
  head.set([2, 1, 1], 4);
  head.writeUInt16LE(machine, 18);
  return head;
}

test.each([
  [elf(62), 'x64', undefined],
  [elf(3), 'x64', undefined],
  [elf(183), 'arm64', undefined],
  [Buffer.from('#!/bin/sh\n'), 'x64', undefined],
  [elf(183), 'x64', 'it is built for arm64'],
  [elf(62), 'arm64', 'it is built for amd64'],
  [elf(9999), 'x64', 'ELF type 9999'],
  [Buffer.from('echo hello\n'), 'x64', 'neither'],
  [Buffer.from(''), 'x64', 'neither'],
] as const)('a program is judged by its first bytes, before anything runs it: %#', (head, machine, fault) => {
  const found = programFault(head, machine);
  if (fault === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(fault);
});

const question = { words: ['--debug'], configFile: undefined, env: { PATH: '/usr/bin:/bin' } };

async function program(name: string, content: string | Buffer): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content, { mode: 0o755 });
  return path;
}

test('a program for another machine is refused without being run as a shell script', async () => {
  const foreign = process.arch === 'x64' ? 183 : 62;
  const witness = join(directory, 'ran');
  const binary = await program('k3s', Buffer.concat([elf(foreign), Buffer.from(`\ntouch ${witness}\n`)]));
  await expect(askK3s({ ...question, binary })).rejects.toMatchObject({
    code: 'DAAS_AGENT_BINARY_INVALID',
    exitCode: 78,
    message: expect.stringContaining(binary),
  });
  await expect(import('node:fs/promises').then(({ stat }) => stat(witness))).rejects.toThrow();
});

test.each([
  ['something else', '#!/bin/sh\necho hello\n', 'does not say'],
  ['a program whose interpreter is missing', '#!/nowhere/sh\n', 'cannot be run'],
])('%s is no k3s', async (_, text, words) => {
  const binary = await program('k3s', text);
  await expect(askK3s({ ...question, binary })).rejects.toMatchObject({
    code: 'DAAS_AGENT_BINARY_INVALID',
    message: expect.stringContaining(words),
  });
});

test('what k3s says against its flags stands in the message, without a token', async () => {
  const binary = await program(
    'k3s',
    `#!/bin/sh
case $1 in
  --version) echo 'k3s version v1.0 (x)';;
  help) exit 0;;
  *) echo 'Incorrect Usage: flag provided but not defined: -x=K10ab::abcdef.0123456789abcdef'; echo; echo NAME:; exit 1;;
esac
`,
  );
  await expect(askK3s({ ...question, binary })).rejects.toMatchObject({
    code: 'DAAS_AGENT_SETTINGS_REFUSED',
    exitCode: 78,
    message: expect.stringMatching(
      /v1\.0 .*flag provided but not defined: -x=\[secret\]; correct agent\.args/,
    ),
  });
});

test('k3s is asked with the flags of its files before those of argv, and reads the files themselves', async () => {
  const binary = await program(
    'k3s',
    `#!/bin/sh\necho "$K3S_CONFIG_FILE|$*" >> ${directory}/asked\necho 'k3s version v1.0 (x)'\n`,
  );
  const version = await askK3s({
    binary,
    words: ['--node-label=file=1', '--debug'],
    configFile: '/etc/k.yaml',
    env: { PATH: '/usr/bin:/bin', K3S_CONFIG_FILE: '/other' },
  });
  expect(version).toBe('v1.0');
  const { readFile } = await import('node:fs/promises');
  expect((await readFile(join(directory, 'asked'), 'utf8')).trim().split('\n').sort()).toEqual([
    '/etc/k.yaml|help agent',
    '|--version',
    '|agent --help --node-label=file=1 --debug',
  ]);
});
