import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { FakeClock, settled } from '#testing';
import { createEventStreams } from './event-streams.ts';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { World } from './world.fixture.ts';

/** A host that listens: what it heard, and the end of its stream. */
async function listening(world: World, worker: FakeWorker) {
  const connection = worker.connection();
  const stop = new AbortController();
  let changes = 0;
  const opened = Promise.withResolvers<void>();
  const challenge = await connection.challenge({ nodeId: worker.nodeId, staker: worker.staker });
  const ended = connection.events?.(
    {
      challenge,
      sealTokenId: worker.tokenId,
      onOpen: () => opened.resolve(),
      onChange: () => {
        changes += 1;
      },
    },
    stop.signal,
  );
  await Promise.race([opened.promise, ended]);
  await settled();
  return {
    changes: () => changes,
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended?.catch(() => undefined);
      await connection[Symbol.asyncDispose]();
      await world.clock.advance(0);
    },
  };
}

describe('a stream of changes', () => {
  test('tells a host that its record changed, before its next heartbeat, and no other host', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const other = await world.member('worker-2', { staker: `0x${'52'.repeat(32)}` });
    await using told = await listening(world, worker);
    await using untold = await listening(world, other);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await vi.waitFor(() => expect(told.changes()).toBe(1));
    expect(untold.changes()).toBe(0);
  });

  test('is one a node: a newer one ends the one before', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await using first = await listening(world, worker);
    await using second = await listening(world, worker);
    await first.ended;
    world.chain.change(worker.recordId, { stakeMist: 9_000_000_000n });
    await vi.waitFor(() => expect(second.changes()).toBe(1));
    expect(first.changes()).toBe(0);
  });

  test('has a limit, beyond which hosts are asked to come later, and takes no place of requests', async () => {
    await using world = await World.start({ limits: { eventStreams: 1, inFlight: 1, addressInFlight: 1 } });
    const [one, two] = [await world.member('worker-1'), await world.member('worker-2')];
    await using _ = await listening(world, one);
    await expect(listening(world, two)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_OVERLOADED',
      isRetryable: true,
    });
    expect(await one.heartbeat()).toMatchObject({ directives: [] });
  });

  test('is opened for the key of a registered node alone', async () => {
    await using world = await World.start();
    const stranger = world.worker('worker-9').stake();
    await expect(listening(world, stranger)).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID',
    });
  });

  test('ends with the gateway, which does not wait for it', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await using stream = await listening(world, worker);
    await world.stopGateway();
    await stream.ended;
  });
});

/** A response as far as a stream uses it. */
class FakeResponse extends EventEmitter {
  text = '';
  writableLength = 0;
  isEnded = false;
  destroyed = false;
  write(text: string): boolean {
    this.text += text;
    return true;
  }
  end(): void {
    this.isEnded = true;
    this.emit('close');
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

describe('event streams', () => {
  afterEach(() => vi.useRealTimers());

  test('say every 15 seconds that they are alive, and end after at most an hour', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] });
    const clock = new FakeClock();
    const streams = createEventStreams({ most: 100, clock });
    const responses = Array.from({ length: 30 }, (_, index) => {
      const response = new FakeResponse();
      streams.open(
        { nodeId: `worker-${index}`, recordId: `0x${index}` },
        response as unknown as ServerResponse,
      );
      return response;
    });
    await vi.advanceTimersByTimeAsync(15_000);
    for (const { text } of responses) expect(text.split(':\n\n')).toHaveLength(2);
    await clock.advance(1_800_000);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(streams.count()).toBeGreaterThan(0);
    await clock.advance(1_800_000);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(streams.count()).toBe(0);
    expect(responses.every(({ isEnded }) => isEnded)).toBe(true);
    streams.close();
    expect(streams.hasRoomFor('worker-99')).toBe(false);
  });

  test('keep the place of a host that comes anew, and none of one that has gone while it proved itself', () => {
    const streams = createEventStreams({ most: 1, clock: new FakeClock() });
    const open = (nodeId: string, response = new FakeResponse()) =>
      streams.open({ nodeId, recordId: '0x1' }, response as unknown as ServerResponse);
    const gone = new FakeResponse();
    gone.destroy();
    open('worker-1', gone);
    expect(streams.count()).toBe(0);
    open('worker-1');
    expect(streams.hasRoomFor('worker-1')).toBe(true);
    expect(streams.hasRoomFor('worker-2')).toBe(false);
    open('worker-1');
    expect(streams.count()).toBe(1);
    streams.close();
  });

  test('cut off a host that does not read', () => {
    const streams = createEventStreams({ most: 1, clock: new FakeClock() });
    const response = new FakeResponse();
    streams.open({ nodeId: 'worker-1', recordId: '0x1' }, response as unknown as ServerResponse);
    expect(streams.hasRoomFor('worker-99')).toBe(false);
    response.writableLength = 17 * 1024;
    streams.announce(new Set(['0x1']));
    expect(response.destroyed).toBe(true);
    expect(streams.hasRoomFor('worker-99')).toBe(true);
    streams.close();
  });
});
