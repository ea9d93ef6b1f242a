import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { StateEngine, StateNews } from '#domain';
import type { KeyRing } from './key-ring.ts';
import { sealEngine } from './sealed-engine.ts';

/** Where the engines of one test keep what they are given. */
export interface EngineSite extends AsyncDisposable {
  /** Opens it, again or beside another. */
  open(): Promise<StateEngine>;
}

/** A ring whose keys a test changes. */
export class TestRing implements KeyRing {
  keys = [newKey('first')];
  current = () => this.keys[0] ?? newKey('none');
  find = (id: string) => this.keys.find((key) => key.id === id);
  ids = () => this.keys.map(({ id }) => id);
  readonly refreshEveryMs = 10_000;
  refresh = () => Promise.resolve(false);
}

export const newKey = (id: string) => ({ id, key: createSecretKey(randomBytes(32)) });

/** A site whose values are sealed. */
export function sealedSite(site: EngineSite, ring: KeyRing = new TestRing()): EngineSite {
  return {
    open: async () => sealEngine(await site.open(), ring, '0xc1'),
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  };
}

/** What every engine keeps to, sealed or not. */
export function describeEngine(name: string, newSite: () => Promise<EngineSite>): void {
  describe(name, () => {
    test('keeps what was written, in the order of keys, over a restart', async () => {
      await using site = await newSite();
      {
        await using engine = await site.open();
        await engine.write([
          { key: '/workers/b', text: '"ü"' },
          { key: '/workers/a', text: '1' },
          { key: '/workersx', text: '"another prefix"' },
          { key: '/bans/a', text: 'true' },
        ]);
        await engine.write([{ key: '/bans/a', text: undefined }]);
      }
      await using engine = await site.open();
      expect(await engine.list('/workers/')).toEqual([
        ['/workers/a', '1'],
        ['/workers/b', '"ü"'],
      ]);
      expect((await engine.list('/')).map(([key]) => key)).toEqual(['/workers/a', '/workers/b', '/workersx']);
      expect([await engine.read('/bans/a'), await engine.read('/workers/a')]).toEqual([undefined, '1']);
    });

    test('overwrites, removes what is not there, and writes nothing when given nothing', async () => {
      await using site = await newSite();
      await using engine = await site.open();
      await engine.write([]);
      expect(await engine.list('/')).toEqual([]);
      await engine.write([{ key: '/a', text: '1' }]);
      await engine.write([
        { key: '/a', text: '2' },
        { key: '/gone', text: undefined },
      ]);
      expect(await engine.list('/')).toEqual([['/a', '2']]);
    });

    test('takes as many changes at once as it says, and keeps them over many writes', async () => {
      await using site = await newSite();
      const count = 250;
      {
        await using engine = await site.open();
        const most = Math.min(engine.mostChanges, count);
        const changes = Array.from({ length: count }, (_value, index) => ({
          key: `/workers/worker-${index}`,
          text: JSON.stringify({ index }),
        }));
        for (let start = 0; start < count; start += most)
          await engine.write(changes.slice(start, start + most));
      }
      await using engine = await site.open();
      expect(await engine.list('/workers/')).toHaveLength(count);
    });

    test('follows until it is stopped, and tells what others write', async () => {
      await using site = await newSite();
      await using engine = await site.open();
      await engine.write([{ key: '/a', text: '1' }]);
      const stop = new AbortController();
      const news: StateNews[] = [];
      const arrived = Promise.withResolvers<void>();
      const followed = engine.follow((one) => {
        news.push(one);
        const texts = news.flatMap((each) => (each.kind === 'changed' ? each.changes : []));
        if (texts.some(({ key }) => key === '/b')) arrived.resolve();
      }, stop.signal);
      if (!engine.isLocal) {
        await expect.poll(() => news.length).toBeGreaterThan(0);
        await engine.write([
          { key: '/b', text: '2' },
          { key: '/a', text: undefined },
        ]);
        await arrived.promise;
        expect(news[0]).toEqual({ kind: 'listed', records: [['/a', '1']] });
        expect(news.slice(1).flatMap((each) => (each.kind === 'changed' ? each.changes : []))).toEqual(
          expect.arrayContaining([
            { key: '/b', text: '2' },
            { key: '/a', text: undefined },
          ]),
        );
      }
      stop.abort();
      await followed;
    });
  });
}
