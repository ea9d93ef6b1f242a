import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** A package of its own: the real launcher, and in place of the program a script that tells what became of it. */
let root: string;
let launcher: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'k3s-daas-launcher-'));
  launcher = join(root, 'bin', 'k3s-daas');
  for (const part of ['bin', 'dist', 'own']) await mkdir(join(root, part));
  await copyFile(join(import.meta.dirname, '..', 'bin', 'k3s-daas'), launcher);
  await chmod(launcher, 0o755);
  await symlink(process.execPath, join(root, 'own', 'node'));
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  await writeFile(join(root, 'dist', 'k3s-daas.js'), program);
});
afterAll(() => rm(root, { recursive: true }));

/** Leaves orphans, says who it is, ends with 77 on SIGTERM after telling which zombies there are; `end <code>` ends at once. */
const program = `
  import { execSync } from 'node:child_process';
  import { readdirSync, readFileSync } from 'node:fs';
  const stateOf = (pid) => { try { return /\\) (\\S)/.exec(readFileSync('/proc/' + pid + '/stat', 'utf8'))[1]; } catch { return ''; } };
  const others = () => readdirSync('/proc').filter((name) => /^\\d+$/.test(name) && name !== '1' && name !== String(process.pid));
  let terms = 0;
  process.on('SIGTERM', async () => {
    terms += 1;
    // The orphans end by themselves within this time; a reaped one is no longer in /proc.
    for (let look = 0; look < 200 && others().length > 0; look += 1) await new Promise((done) => setTimeout(done, 20));
    console.log(JSON.stringify({ terms, left: others().map(stateOf) }));
    process.exit(77);
  });
  const [word, code] = process.argv.slice(2);
  if (word === 'end') process.exit(Number(code));
  for (let made = 0; made < 5; made += 1) execSync('(sleep 0.1 &); (sleep 0.3 &)');
  console.log(JSON.stringify({ pid: process.pid, argv: process.argv.slice(2), execArgv: process.execArgv }));
  setInterval(() => undefined, 1000);`;

const withNode = () => ({ ...process.env, PATH: `${join(root, 'own')}:${process.env.PATH}` });

/** The lines that a process writes, as objects. */
async function* linesOf(child: ChildProcess): AsyncGenerator<Record<string, unknown>> {
  if (!child.stdout) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line);
}

test('under the name kubectl-daas it is the plugin of kubectl', async () => {
  await symlink(launcher, join(root, 'own', 'kubectl-daas'));
  const child = spawn(join(root, 'own', 'kubectl-daas'), ['whoami'], {
    env: withNode(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of linesOf(child)) {
    expect(line).toMatchObject({ argv: ['kubectl', 'whoami'] });
    child.kill('SIGKILL');
  }
});

test('the launcher becomes the program: what a service manager kills is the host itself', async () => {
  const child = spawn(launcher, ['--json', 'agent', 'two words', '--flag='], {
    env: withNode(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  for await (const line of linesOf(child)) {
    expect(line).toMatchObject({ pid: child.pid, argv: ['--json', 'agent', 'two words', '--flag='] });
    // A worker's memory is for its pods.
    expect(line.execArgv).toContain('--max-semi-space-size=2');
    child.kill('SIGKILL');
  }
  expect(await ended).toEqual([null, 'SIGKILL']);
});

test('it is found through the symbolic link that npm makes of it', () => {
  const link = join(root, 'link');
  return symlink(launcher, link).then(() => {
    expect(spawnSync(link, ['end', '3'], { env: withNode() }).status).toBe(3);
  });
});

test('a clone whose packages are not installed says so, with exit code 78', async () => {
  const clone = await mkdtemp(join(root, 'clone-'));
  for (const part of ['bin', 'src']) await mkdir(join(clone, part));
  await copyFile(launcher, join(clone, 'bin', 'k3s-daas'));
  await chmod(join(clone, 'bin', 'k3s-daas'), 0o755);
  await writeFile(join(clone, 'src', 'start.ts'), '');
  const { status, stderr } = spawnSync(join(clone, 'bin', 'k3s-daas'), ['--help'], {
    env: withNode(),
    encoding: 'utf8',
  });
  expect(stderr).toContain(`Run 'npm ci --ignore-scripts' in ${clone}`);
  expect(status).toBe(78);
});

describe('without a Node that is new enough', () => {
  test.each([
    ['an old one', '#!/bin/sh\necho v20.11.0', /Node v20\.11\.0, too old\. Install Node 24/],
    ['a broken one', '#!/bin/sh\nexit 1', /does not run/],
  ])('%s is told with exit code 78', async (_, script, expected) => {
    const directory = await mkdtemp(join(root, 'old-'));
    await writeFile(join(directory, 'node'), script, { mode: 0o755 });
    const end = spawnSync(launcher, ['end', '0'], { env: { PATH: `${directory}:/usr/bin:/bin` } });
    expect(end.stderr.toString()).toMatch(expected);
    expect(end.status).toBe(78);
  });
});

test('in a clone what is built is used until a source is newer', async () => {
  const execArgvOf = async () => {
    const child = spawn(launcher, ['config'], { env: withNode(), stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    const lines: Record<string, unknown>[] = [];
    for await (const line of linesOf(child)) {
      lines.push(line);
      child.kill('SIGKILL');
    }
    await ended;
    return lines[0]?.execArgv;
  };
  const source = join(root, 'src', 'start.ts');
  try {
    for (const part of ['src', 'devnet/src', 'plugins', 'node_modules/commander'])
      await mkdir(join(root, part), { recursive: true });
    await writeFile(source, program);
    const past = new Date(Date.now() - 60_000);
    for (const path of [
      source,
      ...['src', 'devnet/src', 'plugins', 'package.json'].map((part) => join(root, part)),
    ])
      await utimes(path, past, past);
    expect(await execArgvOf()).toEqual([]);
    const future = new Date(Date.now() + 60_000);
    await utimes(source, future, future);
    expect(await execArgvOf()).toEqual(['--conditions=source']);
  } finally {
    for (const part of ['src', 'devnet', 'plugins', 'node_modules'])
      await rm(join(root, part), { recursive: true });
  }
});

const shells = ['dash', 'bash', 'busybox'].filter(
  (shell) => spawnSync('sh', ['-c', `command -v ${shell}`]).status === 0,
);
const namespace = ['--user', '--map-root-user', '--pid', '--fork', '--mount-proc', '--kill-child'];
const mayUnshare = spawnSync('unshare', [...namespace, 'true']).status === 0;

/** The launcher as pid 1 of a container, under a shell. */
function asFirst(shell: string, ...argv: string[]): ChildProcess {
  const words = shell === 'busybox' ? ['busybox', 'sh'] : [shell];
  return spawn('unshare', [...namespace, ...words, launcher, ...argv], {
    env: withNode(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe.skipIf(!mayUnshare).each(shells)('as pid 1 of a container, under %s', (shell) => {
  test('orphans are reaped, SIGTERM reaches the program once, and its exit code is kept', async () => {
    const container = asFirst(shell, 'agent');
    const ended = once(container, 'exit');
    const told: unknown[] = [];
    for await (const line of linesOf(container)) {
      told.push(line);
      if (told.length > 1) continue;
      expect(line.pid).not.toBe(1);
      const [first] = (await readFile(`/proc/${container.pid}/task/${container.pid}/children`, 'utf8')).split(
        ' ',
      );
      process.kill(Number(first), 'SIGTERM');
    }
    expect(told.slice(1)).toEqual([{ terms: 1, left: [] }]);
    expect(await ended).toEqual([77, null]);
  });

  test('a program that ends by itself ends the container with its code', async () => {
    expect(await once(asFirst(shell, 'end', '75'), 'exit')).toEqual([75, null]);
  });
});
