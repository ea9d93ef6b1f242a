import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addKey, openKeyRing } from './key-ring.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keys-'));
});
afterEach(() => rm(directory, { recursive: true }));

const key = (byte: number) => Buffer.alloc(32, byte).toString('base64url');

test('keys are read from a file, the first seals and all open', async () => {
  const file = join(directory, 'keys');
  await writeFile(file, `# the keys\n\nnew ${key(1)}\n  old ${key(2)}\n`, { mode: 0o600 });
  const ring = await openKeyRing({ file });
  expect([ring.current().id, ring.ids(), ring.find('old')?.id, ring.find('none')]).toEqual([
    'new',
    ['new', 'old'],
    'old',
    undefined,
  ]);
  expect(await ring.refresh()).toBe(false);
  await writeFile(file, `newest ${key(3)}\nnew ${key(1)}\n`);
  expect([await ring.refresh(), ring.current().id, ring.find('old')]).toEqual([true, 'newest', undefined]);
});

test('a file that became wrong changes nothing', async () => {
  const file = join(directory, 'keys');
  await writeFile(file, `a ${key(1)}\n`, { mode: 0o600 });
  const ring = await openKeyRing({ file });
  await writeFile(file, 'b short\n');
  await expect(ring.refresh()).rejects.toMatchObject({ code: 'DAAS_STATE_KEYS_INVALID' });
  expect(ring.current().id).toBe('a');
});

test.each([
  ['no key', '# nothing\n', /names no key/],
  ['a key that is too short', 'a AAAA\n', /key 1 is not/],
  ['an id with capitals', `A ${key(1)}\n`, /key 1 is not/],
  ['an id twice', `a ${key(1)}\na ${key(2)}\n`, /the same id/],
])('%s is refused, and no key is in the message', async (_what, text, message) => {
  const file = join(directory, 'keys');
  await writeFile(file, text, { mode: 0o600 });
  const error = await openKeyRing({ file }).then(
    () => new Error('it was taken'),
    (failure: Error) => failure,
  );
  expect(error).toMatchObject({ code: 'DAAS_STATE_KEYS_INVALID', exitCode: 78 });
  expect(String(error)).toMatch(message);
  expect(String(error)).not.toContain(key(1));
});

test('keys that others can read are refused, and a file that is missing', async () => {
  const file = join(directory, 'keys');
  await writeFile(file, `a ${key(1)}\n`);
  await chmod(file, 0o644);
  await expect(openKeyRing({ file })).rejects.toMatchObject({ code: 'DAAS_STATE_KEYS_EXPOSED' });
  await expect(openKeyRing({ file: join(directory, 'none') })).rejects.toThrow(/cannot be read/);
});

test('keys come from a program, or from systemd', async () => {
  const program = join(directory, 'print-keys');
  await writeFile(program, `#!/bin/sh\necho "$1 ${key(1)}"\n`, { mode: 0o700 });
  expect((await openKeyRing({ command: [program, 'printed'] })).ids()).toEqual(['printed']);
  await writeFile(program, '#!/bin/sh\necho no luck >&2; exit 3\n');
  await expect(openKeyRing({ command: [program] })).rejects.toThrow(/ended with 3: no luck/);
  await writeFile(join(directory, 'state-keys'), `given ${key(1)}\n`, { mode: 0o400 });
  vi.stubEnv('CREDENTIALS_DIRECTORY', directory);
  try {
    expect((await openKeyRing({ credential: 'state-keys' })).ids()).toEqual(['given']);
  } finally {
    vi.unstubAllEnvs();
  }
  await expect(openKeyRing({ credential: 'state-keys' })).rejects.toThrow(/LoadCredentialEncrypted/);
});

test('a new key comes before the others, and the first one makes the file', async () => {
  const file = join(directory, 'keys');
  const nowMs = Date.UTC(2027, 0, 31);
  const first = await addKey({ file }, nowMs);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(first).toEqual({ file, ids: [expect.stringMatching(/^20270131-[0-9a-f]{6}$/)] });
  const before = await readFile(file, 'utf8');
  expect((await addKey({ file }, nowMs, { isDryRun: true }))?.ids).toHaveLength(2);
  expect(await readFile(file, 'utf8')).toBe(before);
  const second = await addKey({ file }, nowMs);
  expect(second?.ids).toEqual([expect.any(String), ...(first?.ids ?? [])]);
  expect((await openKeyRing({ file })).ids()).toEqual(second?.ids);
  expect(await addKey({ credential: 'state-keys' }, nowMs)).toBeUndefined();
});

test('earlier keys open and never seal, and one that is in both places is one', async () => {
  const [file, other] = [join(directory, 'keys'), join(directory, 'other')];
  await writeFile(file, `new ${key(1)}\nmoved ${key(2)}\n`, { mode: 0o600 });
  await writeFile(other, `moved ${key(2)}\nold ${key(3)}\n`, { mode: 0o600 });
  const ring = await openKeyRing({ file, earlier: [{ file: other }] });
  expect([ring.current().id, ring.ids()]).toEqual(['new', ['new', 'moved', 'old']]);
  await writeFile(other, `moved ${key(4)}\n`);
  await expect(ring.refresh()).rejects.toThrow(/the same id/);
  await writeFile(other, '# gone\n');
  await expect(ring.refresh()).rejects.toThrow(/names no key/);
  expect(ring.find('old')).toBeDefined();
});
