import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Log, Secret, silentLog } from '#base';
import { checkRights, readPlan } from './agent-plan.ts';
import { findBinary } from './binary.ts';
import { kubeletCertificate, planCertificates } from './certificates.ts';
import { readK3sConfig } from './k3s-config.ts';
import { AgentSettings } from './settings.ts';
import { deadToken, openTokenFile, parseFullToken } from './token-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'agent-'));
});
afterEach(() => rm(directory, { recursive: true }));

const hash = 'a'.repeat(64);

test('the token file is private, read back, and wiped', async () => {
  const file = await openTokenFile(join(directory, 'run', 'join-token'), silentLog);
  await file.write(`K10${hash}::abcdef.0123456789abcdef`);
  expect((await stat(file.path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, 'run'))).mode & 0o777).toBe(0o700);
  expect((await file.read())?.reveal()).toBe(`K10${hash}::abcdef.0123456789abcdef`);
  await file.wipe();
  await file.wipe();
  expect(await file.read()).toBeUndefined();
});

test('what a host that was killed while it wrote left of the token file is wiped, too', async () => {
  const file = await openTokenFile(join(directory, 'run', 'join-token'), silentLog);
  await file.write('whole');
  await writeFile(join(directory, 'run', '.0123456789abcdef.tmp'), 'half');
  await writeFile(join(directory, 'run', 'of somebody else'), 'stays');
  await file.wipe();
  expect(await readdir(join(directory, 'run'))).toEqual(['of somebody else']);
});

test('a runtime directory that others can read is closed', async () => {
  await mkdir(join(directory, 'open'), { mode: 0o755 });
  await openTokenFile(join(directory, 'open', 't'), silentLog);
  expect((await stat(join(directory, 'open'))).mode & 0o777).toBe(0o700);
});

test.each(['run', 'run/w1'])(
  'a runtime directory that is a link (%s) is refused, neither followed nor closed to others',
  async (link) => {
    const target = join(directory, 'target');
    await mkdir(target, { mode: 0o755 });
    await mkdir(dirname(join(directory, link)), { recursive: true });
    await symlink(target, join(directory, link));
    await expect(openTokenFile(join(directory, 'run', 'w1', 'join-token'), silentLog)).rejects.toMatchObject({
      code: 'DAAS_RUNTIME_DIR_FOREIGN',
      exitCode: 78,
      message: expect.stringContaining(join(directory, link)),
    });
    expect((await stat(target)).mode & 0o777).toBe(0o755);
    expect(await readdir(target)).toEqual([]);
  },
);

test('a runtime directory on a disk is warned of, one in memory is not', async () => {
  const codes: unknown[] = [];
  const log: Log = { ...silentLog, warn: (_, fields) => codes.push(fields?.error?.code) };
  const memory = await mkdtemp('/dev/shm/agent-');
  await openTokenFile(join(memory, 't'), log);
  expect(codes).toEqual([]);
  await rm(memory, { recursive: true });
  // /tmp is a tmpfs on some machines; the disk that holds this file is none.
  const disk = await mkdtemp(join(import.meta.dirname, 'tmp-'));
  await openTokenFile(join(disk, 't'), log);
  await rm(disk, { recursive: true });
  expect(codes).toEqual(['DAAS_RUNTIME_DIR_NOT_TMPFS']);
});

test('a dead token is one that k3s can parse, with the hash of the real one', () => {
  const dead = parseFullToken(new Secret(deadToken(hash)));
  expect(dead?.caHash).toBe(hash);
});

test.each([
  [`K10${hash}::node:password`],
  ['abcdef.0123456789abcdef'],
  [`K10${hash}::ABCDEF.0123456789abcdef`],
])('what k3s would send as a password is no full token: %s', (text) => {
  expect(parseFullToken(new Secret(text))).toBeUndefined();
});

test('the certificate pair goes aside and comes back', async () => {
  const certificate = kubeletCertificate(directory);
  await mkdir(join(directory, 'agent'));
  expect(await certificate.facts()).toEqual({ inPlace: 'nothing', aside: false });
  for (const kind of ['crt', 'key'])
    await writeFile(join(directory, 'agent', `client-kubelet.${kind}`), kind);
  await certificate.carryOut('move-aside');
  expect(await certificate.facts()).toEqual({ inPlace: 'nothing', aside: true });
  await certificate.carryOut('restore');
  expect(await certificate.facts()).toEqual({ inPlace: 'pair', aside: false });
  expect(await readFile(join(directory, 'agent', 'client-kubelet.key'), 'utf8')).toBe('key');
});

test.each(['move-aside', 'restore'] as const)(
  'a host that is killed half-way through %s can still bring the pair back',
  async (plan) => {
    const certificate = kubeletCertificate(directory);
    const place = (name: string) => join(directory, 'agent', name);
    await mkdir(join(directory, 'agent'));
    const [moved, left] = plan === 'move-aside' ? ['crt', 'key'] : ['key', 'crt'];
    await writeFile(place(`client-kubelet.${moved}.aside`), moved);
    await writeFile(place(`client-kubelet.${left}`), left);
    const facts = await certificate.facts();
    expect(facts).toEqual({ inPlace: 'half', aside: true });
    await certificate.carryOut(
      planCertificates({
        ...facts,
        hasLiveCredential: false,
        isFreshCredential: false,
        lastStartReachedReady: false,
      }),
    );
    expect(await certificate.facts()).toEqual({ inPlace: 'pair', aside: false });
  },
);

test('k3s config files are read with their drop-ins, by name', async () => {
  const main = join(directory, 'config.yaml');
  await mkdir(`${main}.d`);
  await writeFile(main, 'node-label:\n  - a=1\n  - b=2\ndebug: true\n');
  await writeFile(join(`${main}.d`, '20-x.yaml'), 'node-label+: [c=3]\n');
  await writeFile(join(`${main}.d`, '10-x.yml'), 'data-dir: /d\n');
  await writeFile(join(`${main}.d`, 'notes.txt'), 'token: x\n');
  const words = await readK3sConfig(main);
  expect(words.map(({ text }) => text)).toEqual([
    '--node-label=a=1',
    '--node-label=b=2',
    '--node-label=c=3',
    '--debug=true',
    '--data-dir=/d',
  ]);
  expect(words[0]?.origin).toContain('20-x.yaml');
  expect(await readK3sConfig(join(directory, 'none.yaml'))).toEqual([]);
});

test('a damaged config file is refused without quoting what is in it', async () => {
  const main = join(directory, 'config.yaml');
  await writeFile(main, 'token: "secret-word\n  - [');
  const error = await readK3sConfig(main).catch((thrown: Error) => thrown);
  expect(error).toMatchObject({ code: 'DAAS_K3S_CONFIG_UNREADABLE', exitCode: 78 });
  expect(String((error as Error).message)).not.toContain('secret-word');
});

test('the plan takes the containerd address from the settings, then the flags, then k3s', async () => {
  const config = ['--config', join(directory, 'none.yaml')];
  const plan = (settings: object) => readPlan(AgentSettings.parse(settings), {}, 'w1');
  const flags = { args: [...config, '--container-runtime-endpoint=unix:///c.sock'] };
  expect((await plan({ args: config })).containerdAddress).toBe('/run/k3s/containerd/containerd.sock');
  expect((await plan(flags)).containerdAddress).toBe('/c.sock');
  expect((await plan({ ...flags, containerdAddress: '/own.sock' })).containerdAddress).toBe('/own.sock');
});

test('a binary is found by path and on PATH; a missing one is named', async () => {
  const path = join(directory, 'k3s-of-test');
  await writeFile(path, '#!/bin/sh\n', { mode: 0o755 });
  expect(await findBinary(path, {})).toBe(path);
  expect(await findBinary('k3s-of-test', { PATH: `/nowhere:${directory}` })).toBe(path);
  await expect(findBinary(join(directory, 'none'), {})).rejects.toMatchObject({
    code: 'DAAS_AGENT_BINARY_MISSING',
    exitCode: 78,
    message: expect.stringContaining(join(directory, 'none')),
  });
});

test('looking at the rights makes no directory', async () => {
  const dataDir = join(directory, 'not', 'there');
  await checkRights(
    await readPlan(AgentSettings.parse({ args: ['--data-dir', dataDir, '-c', '/none'] }), {}, 'w1'),
  );
  expect(await readdir(directory)).toEqual([]);
});

test('a data directory that cannot be made is refused with its path', async () => {
  await writeFile(join(directory, 'file'), '');
  const plan = await readPlan(
    AgentSettings.parse({
      args: ['--rootless', '--data-dir', join(directory, 'file', 'data'), '-c', '/none'],
    }),
    {},
    'w1',
  );
  await expect(checkRights(plan)).rejects.toMatchObject({ code: 'DAAS_AGENT_NO_RIGHTS', exitCode: 78 });
});
