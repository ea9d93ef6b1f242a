import { describe, expect, test } from 'vitest';
import type { DaasError } from '#base';
import type { StateEngine } from '#domain';
import { FakeClock, seededRandom, settled } from '#testing';
import { describeEngine, sealedSite, TestRing } from './engine.fixture.ts';
import { openKubernetesState } from './kubernetes-state.ts';
import { type Fate, MemoryObjects } from './memory-objects.fixture.ts';
import { sealEngine } from './sealed-engine.ts';

const memorySite = async () => {
  const memory = new MemoryObjects();
  return {
    async open() {
      const { engine, leadership } = await openKubernetesState({
        objects: memory.of('gateway'),
        name: 'gateway',
        leaseSeconds: 5,
        clock: new FakeClock(),
      });
      await leadership.untilLeading(AbortSignal.timeout(5_000));
      return engine;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
};
describeEngine('the kubernetes engine on objects in memory', memorySite);
describeEngine('the kubernetes engine on objects in memory, sealed', async () =>
  sealedSite(await memorySite()),
);

describe('a state in Secrets', () => {
  const clock = new FakeClock();
  async function leading(memory: MemoryObjects, name: string) {
    // Somebody has taken the Lease from the one who had it: who that was does not hear of it.
    memory.lease = { ...memory.lease, holder: undefined };
    const state = await openKubernetesState({ objects: memory.of(name), name, leaseSeconds: 5, clock });
    await state.leadership.untilLeading(AbortSignal.timeout(5_000));
    return state;
  }
  const wholeOf = async (memory: MemoryObjects) => {
    const { engine } = await openKubernetesState({
      objects: memory.of('reader'),
      name: 'reader',
      leaseSeconds: 5,
      clock,
      isCandidate: false,
    });
    return Object.fromEntries(await engine.list('/'));
  };

  test.each(Array.from({ length: 60 }, (_value, index) => index))(
    'schedule %i: writes are lost, held and answered for nobody while leaders change, and every transaction is there as a whole or not at all',
    async (seed) => {
      const draw = seededRandom(seed);
      const memory = new MemoryObjects();
      const fates: Fate[] = ['is lost', 'loses its answer', 'is held'];
      const drawFate = () =>
        draw() < 0.12 ? (fates[Math.floor(draw() * fates.length)] ?? 'arrives') : 'arrives';
      const names = ['a', 'b', 'c'];
      const engines: StateEngine[] = [];
      let turn = 0;
      /** Pairs of records that are written together. */
      const written = new Map<string, Set<number>>();
      for (const name of names) {
        memory.fate = () => 'arrives';
        const { engine } = await leading(memory, name);
        memory.fate = drawFate;
        engines.push(engine);
        for (let count = 0; count < 60; count += 1) {
          turn += 1;
          const pair = `/p/${Math.floor(draw() * 12)}`;
          // Also those that lead no more write, when they come to it.
          const writer = draw() < 0.8 ? engine : (engines[Math.floor(draw() * engines.length)] ?? engine);
          const text = JSON.stringify({ turn, filling: 'x'.repeat(900) });
          const outcome = await writer
            .write([
              { key: `${pair}/left`, text },
              { key: `${pair}/right`, text },
            ])
            .then(
              () => 'done',
              (error: unknown) => (error as DaasError).code,
            );
          // What a leader was told is written counts, until something later does.
          if (outcome === 'done') written.set(pair, new Set([turn]));
          else if (outcome === 'DAAS_GATEWAY_STORE_FAILED')
            written.set(pair, new Set([...(written.get(pair) ?? [0]), turn]));
          if (draw() < 0.1) memory.letGo();
          const found = await wholeOf(memory);
          for (let at = 0; at < 12; at += 1)
            expect(found[`/p/${at}/left`], `turn ${turn}`).toBe(found[`/p/${at}/right`]);
          for (const [key, turns] of written) {
            const left = found[`${key}/left`];
            expect([...turns], `${key} at turn ${turn}`).toContain(
              left === undefined ? 0 : (JSON.parse(left) as { turn: number }).turn,
            );
          }
        }
      }
    },
  );

  test('a sealed state goes on after writes whose answers were lost, and one that arrives late fails instead of being mixed in', async () => {
    const memory = new MemoryObjects();
    const { engine } = await leading(memory, 'gateway');
    const sealed = await sealEngine(engine, new TestRing(), '0xc1');
    await sealed.write([{ key: '/a', text: '1' }]);
    for (const fate of ['loses its answer', 'is held', 'is lost'] as const) {
      memory.fate = () => fate;
      await expect(sealed.write([{ key: '/a', text: '2' }])).rejects.toMatchObject({
        code: 'DAAS_GATEWAY_STORE_FAILED',
      });
      memory.fate = () => {
        memory.letGo();
        return 'arrives';
      };
      // The second time it is on what has arrived.
      await sealed.write([{ key: '/b', text: fate }]).catch(() => undefined);
      await sealed.write([{ key: '/b', text: fate }]);
      expect(await sealed.list('/')).toContainEqual(['/b', fate]);
    }
  });

  test('an earlier leader that goes on moving records changes nothing that counts', async () => {
    const memory = new MemoryObjects();
    const first = await leading(memory, 'first');
    const filling = 'x'.repeat(5_000);
    const put = (engine: StateEngine, index: number, text: string) =>
      engine.write([{ key: `/r/${index}`, text: text + filling }]);
    for (let index = 0; index < 7; index += 1) await put(first.engine, index, 'first');
    // It begins to move what is oldest, and is stopped at its first write of a bucket.
    memory.fate = (_gateway, { name }) => (name === 'head' ? 'arrives' : 'is held');
    await expect(put(first.engine, 7, 'first')).rejects.toThrow();
    memory.fate = () => 'arrives';
    const second = await leading(memory, 'second');
    for (let index = 0; index < 14; index += 1) await put(second.engine, index % 7, 'second');
    const before = await wholeOf(memory);
    memory.letGo();
    await expect(put(first.engine, 0, 'first')).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_LEADING' });
    expect(await wholeOf(memory)).toEqual(before);
    for (let index = 0; index < 14; index += 1) await put(second.engine, index % 7, 'third');
    expect(Object.values(await wholeOf(memory)).every((text) => text.startsWith('third'))).toBe(true);
  });

  test('a state whose head was removed takes a backup, although its buckets are newer', async () => {
    const memory = new MemoryObjects();
    const { engine } = await leading(memory, 'gateway');
    const filling = 'x'.repeat(5_000);
    const keys = Array.from({ length: 20 }, (_value, index) => `/r/${index}`);
    for (const key of keys) await engine.write([{ key, text: filling }]);
    memory.objects.delete('head');
    const { engine: next } = await leading(memory, 'next');
    await next.list('/');
    for (const key of keys) await next.write([{ key, text: `restored${filling}` }]);
    expect(await wholeOf(memory)).toEqual(Object.fromEntries(keys.map((key) => [key, `restored${filling}`])));
  });

  test('a follower of a sealed state writes first when it leads, before it has read what the earlier leader wrote: the state adds up', async () => {
    const memory = new MemoryObjects();
    const ring = new TestRing();
    const earlier = await leading(memory, 'earlier');
    const leader = await sealEngine(earlier.engine, ring, '0xc1');
    await leader.write([{ key: '/a', text: '1' }]);
    const { engine, leadership } = await openKubernetesState({
      objects: memory.of('next'),
      name: 'next',
      leaseSeconds: 5,
      clock,
    });
    const follower = await sealEngine(engine, ring, '0xc1');
    const elected = new AbortController();
    const following = follower.follow(() => undefined, elected.signal);
    await leader.write([{ key: '/b', text: '2' }]);
    memory.lease = { ...memory.lease, version: 'taken', holder: undefined };
    while (!leadership.isLeading()) {
      await clock.advance(1_000);
      await settled();
    }
    elected.abort();
    await following;
    await follower.write([{ key: '/c', text: '3' }]);
    expect(await follower.list('/')).toEqual([
      ['/a', '1'],
      ['/b', '2'],
      ['/c', '3'],
    ]);
  });

  test('a candidate whose Lease was taken before its term was written leaves the head to the one that leads by now', async () => {
    const memory = new MemoryObjects();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const objects = memory.of('slow');
    const slowly: typeof objects = {
      ...objects,
      async read(name) {
        const found = await objects.read(name);
        await gate;
        return found;
      },
    };
    const slow = await openKubernetesState({ objects: slowly, name: 'slow', leaseSeconds: 5, clock });
    while (memory.lease.holder === undefined) await settled();
    const { engine, leadership } = await leading(memory, 'quick');
    await engine.write([{ key: '/a', text: '1' }]);
    open();
    await settled();
    await engine.write([{ key: '/a', text: '2' }]);
    expect([slow.leadership.isLeading(), leadership.isLeading()]).toEqual([false, true]);
  });
});
