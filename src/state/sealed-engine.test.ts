import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { describeEngine, type EngineSite, newKey, sealedSite, TestRing } from './engine.fixture.ts';
import { refuseSealed, sealEngine } from './sealed-engine.ts';
import { openSqliteEngine } from './sqlite-engine.ts';

interface FileSite extends EngineSite {
  readonly path: string;
}

async function fileSite(): Promise<FileSite> {
  const directory = await mkdtemp(join(tmpdir(), 'state-'));
  const path = join(directory, 'gateway.db');
  return {
    path,
    open: () => Promise.resolve(openSqliteEngine(path)),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

describeEngine('the sqlite engine', fileSite);
describeEngine('the sqlite engine, sealed', async () => sealedSite(await fileSite()));

/** A sealed state with two workers and a ban, and the file as somebody else opens it. */
async function sealedState() {
  const site = await fileSite();
  onTestFinished(() => site[Symbol.asyncDispose]());
  const ring = new TestRing();
  const open = (scope = '0xc1') => {
    const engine = openSqliteEngine(site.path);
    return sealEngine(engine, ring, scope).catch(async (error: unknown) => {
      await engine[Symbol.asyncDispose]();
      throw error;
    });
  };
  {
    await using engine = await open();
    await engine.write([
      { key: '/workers/a', text: '{"node_id":"a"}' },
      { key: '/workers/b', text: '{"node_id":"b"}' },
      { key: '/bans/node_id/b', text: '{"reason":"slashed"}' },
    ]);
  }
  const tamper = (sql: string, ...values: string[]) => {
    const database = new DatabaseSync(site.path);
    database.prepare(sql).run(...values);
    database.close();
  };
  const textOf = (key: string) => {
    const database = new DatabaseSync(site.path);
    const row = database.prepare('SELECT value FROM records WHERE key = ?').get(key);
    database.close();
    return String(row?.value);
  };
  return { path: site.path, ring, open, tamper, textOf };
}

const forged = { code: 'DAAS_STATE_FORGED', exitCode: 78 };
const put = 'UPDATE records SET value = ? WHERE key = ?';

describe('a sealed state', () => {
  test('a stolen state file shows nothing without the key', async () => {
    const { path, ring, open } = await sealedState();
    expect(await readFile(path, 'latin1')).not.toMatch(/node_id"|slashed/);
    ring.keys = [newKey('another')];
    await expect(open()).rejects.toMatchObject({
      code: 'DAAS_STATE_KEY_UNKNOWN',
      details: { keyId: 'first' },
    });
    ring.keys = [newKey('first')];
    await expect(open()).rejects.toMatchObject(forged);
  });

  test('a swapped record is found at the start', async () => {
    const { open, tamper, textOf } = await sealedState();
    const [a, b] = [textOf('/workers/a'), textOf('/workers/b')];
    tamper(put, b, '/workers/a');
    tamper(put, a, '/workers/b');
    await expect(open()).rejects.toMatchObject({ ...forged, details: { record: '/workers/a' } });
  });

  test.each([
    ['cut', (text: string) => text.slice(0, -3)],
    ['cut to nothing', () => 'k3s-daas-sealed/1 first AAAA '],
    ['altered', (text: string) => `${text.slice(0, -6)}AAAAAA`],
    ['unsealed', () => '{"node_id":"a"}'],
  ])('a record that was %s is found at the start', async (_what, change) => {
    const { open, tamper, textOf } = await sealedState();
    tamper(put, change(textOf('/workers/a')), '/workers/a');
    await expect(open()).rejects.toMatchObject({ ...forged, details: { record: '/workers/a' } });
  });

  test('a record that was removed, or put back to what it was earlier, is found at the start', async () => {
    const { open, tamper, textOf } = await sealedState();
    const earlier = textOf('/workers/a');
    {
      await using engine = await open();
      await engine.write([{ key: '/workers/a', text: '{"node_id":"a","banned":true}' }]);
    }
    const later = textOf('/workers/a');
    tamper(put, earlier, '/workers/a');
    await expect(open()).rejects.toMatchObject({ ...forged, details: { record: '/seal' } });
    tamper(put, later, '/workers/a');
    await using engine = await open();
    expect(await engine.list('/')).toHaveLength(3);
    await engine[Symbol.asyncDispose]();
    tamper('DELETE FROM records WHERE key = ?', '/bans/node_id/b');
    await expect(open()).rejects.toMatchObject({ ...forged, details: { record: '/seal' } });
    tamper('DELETE FROM records WHERE key = ?', '/seal');
    await expect(open()).rejects.toMatchObject({ ...forged, details: { record: '/seal' } });
  });

  test('a record of another cluster does not count, although the same key sealed it', async () => {
    const { open, tamper } = await sealedState();
    const foreign = await sealedState();
    foreign.ring.keys = [newKey('first')];
    tamper(put, foreign.textOf('/workers/a'), '/workers/a');
    await expect(open()).rejects.toMatchObject(forged);
    const own = await sealedState();
    await expect(own.open('0xc2')).rejects.toMatchObject(forged);
  });

  test('is sealed with another key while it is written, and opens with that key alone then', async () => {
    const { ring, open, textOf } = await sealedState();
    await using engine = await open();
    ring.keys = [newKey('second'), ...ring.keys];
    const resealed = engine.reseal();
    await engine.write([{ key: '/workers/c', text: '{"node_id":"c"}' }]);
    expect(await resealed).toBe(3);
    await engine[Symbol.asyncDispose]();
    for (const key of ['/workers/a', '/workers/b', '/workers/c', '/bans/node_id/b', '/seal'])
      expect([key, textOf(key).split(' ')[1]]).toEqual([key, 'second']);
    ring.keys = ring.keys.slice(0, 1);
    await using again = await open();
    expect(await again.list('/workers/')).toHaveLength(3);
    expect(await again.reseal()).toBe(0);
  });

  test('a state of a version that sealed nothing is sealed at the first start with keys, and needs them from then on', async () => {
    await using site = await fileSite();
    const ring = new TestRing();
    {
      await using engine = await site.open();
      await refuseSealed(engine);
      await engine.write([{ key: '/workers/a', text: '{"node_id":"a"}' }]);
    }
    {
      await using engine = await sealEngine(await site.open(), ring, '0xc1');
      expect(await engine.list('/')).toEqual([['/workers/a', '{"node_id":"a"}']]);
    }
    await using engine = await site.open();
    await expect(refuseSealed(engine)).rejects.toMatchObject({ code: 'DAAS_STATE_SEALED', exitCode: 78 });
    await engine[Symbol.asyncDispose]();
    await using again = await sealEngine(await site.open(), ring, '0xc1');
    expect(await again.list('/')).toHaveLength(1);
  });
});
