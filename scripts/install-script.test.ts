import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

/** deploy/install.sh with releases that say what they are called with, and with a curl that takes files of a directory. */
const script = join(import.meta.dirname, '..', 'deploy', 'install.sh');
const isRoot = process.getuid?.() === 0;
const release = `k3s-daas-linux-${process.arch === 'x64' ? 'amd64' : 'arm64'}.tar.gz`;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'k3s-daas-script-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function makeRelease(folder: string, version: string, then = ''): string {
  const bin = join(directory, 'stage', 'k3s-daas', 'bin');
  mkdirSync(bin, { recursive: true });
  mkdirSync(folder, { recursive: true });
  const program = `#!/bin/sh\n[ "$1" = --version ] && echo ${version} && exit\necho "called with $*, $INSTALL_K3S_DAAS_PROGRAM"\n${then}\n`;
  writeFileSync(join(bin, 'k3s-daas'), program, { mode: 0o755 });
  const file = join(folder, release);
  spawnSync('tar', ['-C', join(directory, 'stage'), '-czf', file, 'k3s-daas']);
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
  writeFileSync(`${file}.sha256`, `${sum}  ${release}\n`);
  return file;
}

function run(variables: Readonly<Record<string, string>>, ...words: string[]) {
  const env = {
    PATH: `${join(directory, 'path')}:${process.env.PATH}`,
    INSTALL_K3S_DAAS_DIR: join(directory, 'lib'),
    INSTALL_K3S_DAAS_BIN_DIR: join(directory, 'bin'),
    ...variables,
  };
  const { status, stdout, stderr } = spawnSync('sh', [script, ...words], { env, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

test('shellcheck has nothing against it (needs shellcheck)', ({ skip }) => {
  const { error, stdout } = spawnSync('shellcheck', ['--shell=sh', script], { encoding: 'utf8' });
  if (error) skip();
  expect(stdout).toBe('');
});

test.each([
  [{}, 'set INSTALL_K3S_DAAS_ARTIFACT'],
  [{ INSTALL_K3S_DAAS_URL: 'https://x' }, 'INSTALL_K3S_DAAS_VERSION is not set'],
  [{ INSTALL_K3S_DAAS_URL: 'http://x', INSTALL_K3S_DAAS_VERSION: 'v1' }, 'is not https'],
  [{ INSTALL_K3S_DAAS_ARTIFACT: '/nowhere' }, 'is not there'],
])('with %j it changes nothing and says what is missing', (variables, sentence) => {
  expect(run(variables)).toMatchObject({ status: 78, output: expect.stringContaining(sentence) });
});

test('a release that nothing vouches for, or that is another, is not unpacked', () => {
  const file = makeRelease(directory, '1.0.0');
  const wrong = { INSTALL_K3S_DAAS_ARTIFACT: file, INSTALL_K3S_DAAS_SHA256: 'f'.repeat(64) };
  expect(run(wrong)).toMatchObject({ status: 1, output: expect.stringContaining('Nothing was installed') });
  rmSync(`${file}.sha256`);
  expect(run({ INSTALL_K3S_DAAS_ARTIFACT: file })).toMatchObject({
    status: 78,
    output: expect.stringContaining('nothing says what'),
  });
});

test('a dry run leaves no file, and shows the installer where the program would be', () => {
  const file = makeRelease(directory, '1.0.0');
  const { status, output } = run({ INSTALL_K3S_DAAS_ARTIFACT: file }, '--dry-run', '--debug');
  expect(status, output).toBe(0);
  expect(output).toContain(`called with install --dry-run --yes -- --debug, ${directory}/bin/k3s-daas`);
  expect(spawnSync('ls', [join(directory, 'lib'), join(directory, 'bin')]).status).not.toBe(0);
});

test.skipIf(!isRoot)('it unpacks each release beside the one before and moves the link (needs root)', () => {
  const first = run({ INSTALL_K3S_DAAS_ARTIFACT: makeRelease(directory, '1.0.0') }, '--gateway', '--yes');
  expect(first.status, first.output).toBe(0);
  expect(first.output).toContain('called with install --gateway --yes --');
  const link = join(directory, 'bin', 'k3s-daas');
  const before = readlinkSync(link);
  const second = run({ INSTALL_K3S_DAAS_ARTIFACT: makeRelease(directory, '1.1.0') }, '--program-only');
  expect(second.output).toContain('is 1.1.0');
  expect(second.output).not.toContain('called with');
  expect(readlinkSync(link)).not.toBe(before);
  expect(spawnSync(before, ['--version'], { encoding: 'utf8' }).stdout).toBe('1.0.0\n');
});

/** A PATH with what the script needs and no curl; `wget` takes files of a directory. */
function pathWithoutCurl(): string {
  const path = join(directory, 'tools');
  mkdirSync(path);
  const tools = ['sh', 'uname', 'mktemp', 'rm', 'id', 'sha256sum', 'mkdir', 'tar', 'gzip', 'ln', 'mv', 'cp'];
  for (const tool of tools) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
    symlinkSync(found, join(path, tool));
  }
  const take = `#!/bin/sh\nexec cp "${directory}/releases/\${4#https://mirror.example/}" "$3"\n`;
  writeFileSync(join(path, 'wget'), take, { mode: 0o755 });
  return path;
}

test('without curl a release needs a SHA-256 that came in another way', () => {
  const file = makeRelease(join(directory, 'releases', 'v1.2.0'), '1.2.0');
  const from = {
    PATH: pathWithoutCurl(),
    INSTALL_K3S_DAAS_URL: 'https://mirror.example',
    INSTALL_K3S_DAAS_VERSION: 'v1.2.0',
  };
  expect(run(from, '--dry-run')).toMatchObject({
    status: 78,
    output: expect.stringContaining('set INSTALL_K3S_DAAS_SHA256'),
  });
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
  const { status, output } = run({ ...from, INSTALL_K3S_DAAS_SHA256: sum }, '--dry-run');
  expect(status, output).toBe(0);
});

test('it ends with the exit code of the installer, and leaves nothing in the temporary directory', () => {
  const file = makeRelease(directory, '1.0.0', 'exit 75');
  const temporary = join(directory, 'tmp');
  mkdirSync(temporary);
  expect(run({ INSTALL_K3S_DAAS_ARTIFACT: file, TMPDIR: temporary }, '--dry-run').status).toBe(75);
  expect(readdirSync(temporary)).toEqual([]);
});

test.skipIf(!isRoot)('a release is fetched by its version with its SHA-256 (needs root)', () => {
  makeRelease(join(directory, 'releases', 'v1.2.0'), '1.2.0');
  mkdirSync(join(directory, 'path'));
  const curl = join(directory, 'path', 'curl');
  writeFileSync(
    curl,
    `#!/bin/sh\nfor word; do last=$word; done\nwhile [ "$1" != --output ]; do shift; done\nexec cp "${directory}/releases/\${last#https://mirror.example/}" "$2"\n`,
  );
  chmodSync(curl, 0o755);
  const from = { INSTALL_K3S_DAAS_URL: 'https://mirror.example', INSTALL_K3S_DAAS_VERSION: 'v1.2.0' };
  const { status, output } = run(from, '--node-label', 'a=b c');
  expect(status, output).toBe(0);
  expect(output).toContain('called with install --yes -- --node-label a=b c');
  const gone = run({ ...from, INSTALL_K3S_DAAS_VERSION: 'v9.9.9' });
  expect(gone).toMatchObject({ status: 75, output: expect.stringContaining('cannot be fetched') });
});
