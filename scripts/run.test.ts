import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

interface Document {
  readonly packages: Record<string, { version?: string; integrity?: string; optional?: boolean }>;
}

const lock: Document = {
  packages: {
    '': { version: '1.0.0' },
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/a-for-another-machine': { version: '1.0.0', integrity: 'sha512-b', optional: true },
  },
};
const record: Document = { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } } };

/** A clone with the real entry of the npm scripts, and an `npm` that writes its pid down and waits for its end. */
async function cloneWith(installed: Document | undefined): Promise<{ root: string; env: NodeJS.ProcessEnv }> {
  const root = await mkdtemp(join(tmpdir(), 'k3s-daas-run-'));
  onTestFinished(() => rm(root, { recursive: true }));
  cpSync(import.meta.dirname, join(root, 'scripts'), { recursive: true });
  for (const part of ['own', 'node_modules/typescript/bin'])
    await mkdir(join(root, part), { recursive: true });
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  await writeFile(join(root, 'package-lock.json'), JSON.stringify(lock));
  if (installed) await writeFile(join(root, 'node_modules', '.package-lock.json'), JSON.stringify(installed));
  await writeFile(join(root, 'node_modules', 'typescript', 'bin', 'tsc'), "console.log('tsc ran')");
  const npm = `#!/bin/sh\necho $$ > ${root}/npm.pid\necho started >&2\nexec sleep 60\n`;
  await writeFile(join(root, 'own', 'npm'), npm, { mode: 0o755 });
  return { root, env: { ...process.env, PATH: `${join(root, 'own')}:${process.env.PATH}` } };
}

test('what `npm ci` left is not installed again', async () => {
  const { root, env } = await cloneWith(record);
  const { stdout } = spawnSync(process.execPath, [join(root, 'scripts', 'run.mjs'), 'types'], { env });
  expect(stdout.toString()).toBe('tsc ran\n');
  expect(existsSync(join(root, 'npm.pid'))).toBe(false);
});

test.each([
  ['another version', { packages: { 'node_modules/a': { version: '0.9.0', integrity: 'sha512-a' } } }],
  ['other content', { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-c' } } }],
  ['a package too few', { packages: {} }],
  ['a package too many', { packages: { ...record.packages, 'node_modules/b': { version: '1.0.0' } } }],
  ['nothing', undefined],
])('with %s there, npm is asked to install, and ends with the script that asked it', async (_, installed) => {
  const { root, env } = await cloneWith(installed);
  const script = spawn(process.execPath, [join(root, 'scripts', 'run.mjs'), 'types'], {
    env,
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const ended = once(script, 'exit');
  const closed = once(script, 'close');
  script.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('started')) script.kill('SIGTERM');
  });
  expect(await ended).toEqual([143, null]);
  await closed;
  const pid = Number(readFileSync(join(root, 'npm.pid'), 'utf8'));
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
