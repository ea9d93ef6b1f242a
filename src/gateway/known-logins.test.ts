import { expect, test } from 'vitest';
import { silentLog } from '#base';
import type { Change } from '#state';
import { openKnownLogins } from './known-logins.ts';

function memoryStore() {
  const values = new Map<string, unknown>();
  return {
    values,
    list: () => Promise.resolve([...values]),
    write: (changes: readonly Change[]) => {
      for (const { key, value } of changes)
        if (value === undefined) values.delete(key);
        else values.set(key, value);
      return Promise.resolve();
    },
  };
}
const key = (byte: number) => new Uint8Array(32).fill(byte);

test('a login that counted is known after a restart, by token and key', async () => {
  const store = memoryStore();
  (await openKnownLogins({ store, log: silentLog })).add('0xa', key(1));
  const known = await openKnownLogins({ store, log: silentLog });
  expect([known.has('0xa', key(1)), known.has('0xa', key(2)), known.has('0xb', key(1))]).toEqual([
    true,
    false,
    false,
  ]);
  known.remove('0xa');
  expect(store.values.size).toBe(0);
});

test('a number of logins is remembered, the ones used last, in memory and on disk', async () => {
  const store = memoryStore();
  const known = await openKnownLogins({ store, log: silentLog, most: 2 });
  known.add('0xa', key(1));
  known.add('0xb', key(2));
  known.add('0xa', key(1));
  known.add('0xc', key(3));
  expect([...store.values.keys()]).toEqual(['/logins/0xa', '/logins/0xc']);
  expect(known.has('0xb', key(2))).toBe(false);
});
