import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { unitFiles, unitsPage, withUnits } from './unit-files.ts';

const root = join(import.meta.dirname, '..');
const directory = mkdtempSync(join(tmpdir(), 'k3s-daas-units-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('deploy/ and the page that shows the units have what the installer writes (npm run units)', () => {
  for (const [path, text] of Object.entries(unitFiles))
    expect([path, readFileSync(join(root, path), 'utf8')]).toEqual([path, text]);
  const page = readFileSync(join(root, unitsPage), 'utf8');
  expect(withUnits(page)).toBe(page);
  for (const path of Object.keys(unitFiles).filter((one) => one.endsWith('.service')))
    expect(page).toContain(unitFiles[path]);
});

const systemd = Number(
  /^systemd (\d+)/.exec(
    spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' }).stdout ?? '',
  )?.[1] ?? 0,
);

test.skipIf(systemd === 0)('systemd accepts the units (needs systemd-analyze)', () => {
  const files = Object.entries(unitFiles)
    .filter(([path]) => path.endsWith('.service'))
    .map(([path, text]) => {
      const file = join(directory, path.slice(path.lastIndexOf('/') + 1));
      // systemd looks whether the program is there.
      writeFileSync(file, text.replace('/usr/local/bin/k3s-daas', '/bin/true'));
      return file;
    });
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...files], { encoding: 'utf8' });
  expect({ status, said: stderr.split('\n').filter((line) => line.includes('k3s-')) }).toEqual({
    status: 0,
    said: [],
  });
});

// 0 is a service that can do nothing, 10 one that can do everything; k3s' own unit has 9.6.
const mostExposure = 2.5;

test.skipIf(systemd < 250).each(['gateway', 'authorizer', 'fence'])(
  `the unit of the %s is exposed by less than ${mostExposure} of 10 (needs systemd-analyze 250)`,
  (name) => {
    const path = `deploy/systemd/k3s-daas-${name}.service`;
    const { status, stdout, stderr } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=yes', `--threshold=${mostExposure * 10}`, join(root, path)],
      { encoding: 'utf8' },
    );
    expect(status, `${stdout}${stderr}`).toBe(0);
  },
);

test.each(Object.keys(unitFiles).filter((path) => path.includes('openrc')))(
  '%s is a shell script that a shell can read, and can be run',
  (path) => {
    const file = join(root, path);
    expect(spawnSync('sh', ['-n', file], { encoding: 'utf8' }).stderr).toBe('');
    expect(statSync(file).mode & 0o111).toBe(0o111);
  },
);
