import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { silentLog } from '#base';
import { caHash } from '#infrastructure';
import { FakeClock, settled } from '#testing';
import { banKey, banOf } from './bans.ts';
import { CHALLENGE_LIFE_MS, createChallenges } from './challenge.ts';
import { createGate, createLocks } from './locks.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';
import { createShares } from './shares.ts';
import { caChain } from './tls.fixture.ts';
import { createWorkQueue } from './work-queue.ts';

describe('challenges', () => {
  const nowMs = 1_800_000_000_000;
  const challenges = createChallenges('gateway-1');
  const { nonce } = challenges.issue('worker-1', nowMs);

  test.each([
    ['ours, for this node, in time', nonce, 'worker-1', nowMs, undefined],
    ['none', undefined, 'worker-1', nowMs, 'nonce_missing'],
    ['one of another node', nonce, 'worker-2', nowMs, 'nonce_invalid'],
    ['one that has ended', nonce, 'worker-1', nowMs + CHALLENGE_LIFE_MS, 'nonce_expired'],
    ['garbage', 'garbage', 'worker-1', nowMs, 'nonce_invalid'],
    ['one with another ending', `${nonce.slice(0, -4)}AAAA`, 'worker-1', nowMs, 'nonce_invalid'],
    ['one with a later expiry', `___${nonce.slice(3)}`, 'worker-1', nowMs, 'nonce_invalid'],
    ['another spelling of the same bytes', `${nonce}=`, 'worker-1', nowMs, 'nonce_invalid'],
  ])('%s', (_what, given, nodeId, atMs, reason) => {
    expect(challenges.examine(given, nodeId, atMs)).toBe(reason);
  });

  test('one of another gateway, or of this one before its restart, is not ours', () => {
    expect(createChallenges('gateway-2').examine(nonce, 'worker-1', nowMs)).toBe('nonce_invalid');
    expect(createChallenges('gateway-1').examine(nonce, 'worker-1', nowMs)).toBe('nonce_invalid');
  });

  test('a nonce is used once', () => {
    const fresh = challenges.issue('worker-1', nowMs).nonce;
    expect(challenges.use(fresh, nowMs)).toBe(true);
    expect(challenges.use(fresh, nowMs)).toBe(false);
    expect(challenges.examine(fresh, 'worker-1', nowMs)).toBe('nonce_used');
  });

  test('two nonces of the same moment differ', () => {
    expect(challenges.issue('worker-1', nowMs).nonce).not.toBe(challenges.issue('worker-1', nowMs).nonce);
  });
});

describe('rate limits', () => {
  test('a burst passes, then the rate', () => {
    const limit = createRateLimit({ ratePerSecond: 2, burst: 3 });
    expect([1, 2, 3].map(() => limit.take('a', 0))).toEqual([0, 0, 0]);
    expect(limit.take('a', 0)).toBe(500);
    expect(limit.take('a', 500)).toBe(0);
    expect(limit.take('a', 500)).toBe(500);
    expect(limit.take('b', 500)).toBe(0);
  });

  test('memory is bounded: the keys longest unused are forgotten', () => {
    const limit = createRateLimit({ ratePerSecond: 1, burst: 1, mostKeys: 2 });
    for (const key of ['a', 'b', 'c']) limit.take(key, 0);
    expect(limit.take('c', 0)).toBeGreaterThan(0);
    expect(limit.take('a', 0)).toBe(0);
  });

  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('%s counts as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });
});

describe('bans', () => {
  const staker = `0x${'5'.repeat(64)}`;
  const bans = new Map(
    (
      [
        ['node_id', 'worker-1'],
        ['node_key', 'key-1'],
        ['staker', staker],
      ] as const
    ).map(([subject, value]) => [
      banKey({ subject, value }),
      { subject, value, reason: 'x', sinceMs: 0, recordId: undefined },
    ]),
  );
  test.each([
    ['a banned node id', { nodeId: 'worker-1', holderKey: 'k', staker: 's', isKnownName: true }, 'node_id'],
    ['a banned key', { nodeId: 'worker-2', holderKey: 'key-1', staker: 's', isKnownName: true }, 'node_key'],
    [
      'a new name of a banned staker',
      { nodeId: 'new', holderKey: 'k', staker, isKnownName: false },
      'staker',
    ],
    ['another name he has', { nodeId: 'old', holderKey: 'k', staker, isKnownName: true }, undefined],
    ['anybody else', { nodeId: 'worker-3', holderKey: 'k', staker: 's', isKnownName: false }, undefined],
  ])('%s', (_what, who, subject) => {
    expect(banOf(bans, who)?.subject).toBe(subject);
  });
});

describe('locks and gates', () => {
  test('one key is worked on in order, another does not wait, and a failure frees the lock', async () => {
    const locks = createLocks();
    const order: string[] = [];
    const first = locks.run('a', async () => {
      await settled(3);
      order.push('a1');
      throw new Error('a1 fails');
    });
    const second = locks.run('a', async () => order.push('a2'));
    const other = locks.run('b', async () => order.push('b'));
    await expect(first).rejects.toThrow('a1 fails');
    await Promise.all([second, other]);
    expect(order).toEqual(['b', 'a1', 'a2']);
  });

  test('a full gate refuses before it grows', async () => {
    const gate = createGate(1, 1);
    const { promise, resolve } = Promise.withResolvers<void>();
    const working = gate.enter(() => promise);
    const waiting = gate.enter(async () => 'second');
    expect(gate.enter(async () => 'third')).toBeUndefined();
    resolve();
    await working;
    expect(await waiting).toBe('second');
    expect(await gate.enter(async () => 'fourth')).toBe('fourth');
  });
});

test('one asker gets no more than its share, and what is given back can be taken again', () => {
  const shares = createShares(3, 2);
  const first = shares.take('a');
  expect(first).toBeDefined();
  expect(shares.take('a')).toBeDefined();
  expect(shares.take('a')).toBeUndefined();
  expect(shares.take('b')).toBeDefined();
  expect(shares.take('c')).toBeUndefined();
  first?.();
  first?.();
  expect(shares.take('c')).toBeDefined();
  expect(shares.take('d')).toBeUndefined();
});

describe('the work queue', () => {
  test('does what is added meanwhile once more, and retries what fails until it succeeds', async () => {
    const clock = new FakeClock();
    const runs: string[] = [];
    let failures = 2;
    const queue = createWorkQueue({
      clock,
      random: () => 0.5,
      log: silentLog,
      atOnce: 2,
      urgentAtOnce: 1,
      run: async (key) => {
        runs.push(key);
        await settled(1);
        if (key === 'bad' && failures-- > 0) throw new Error('not yet');
      },
    });
    queue.add('good');
    queue.add('good');
    queue.add('bad');
    await settled(10);
    expect(runs.filter((key) => key === 'good')).toHaveLength(2);
    await clock.advance(60_000);
    expect(runs.filter((key) => key === 'bad')).toHaveLength(3);
    await queue.close();
    queue.add('late');
    await settled(5);
    expect(runs).not.toContain('late');
  });
});

describe('urgent work in the queue', () => {
  function queueOf(run: (key: string, signal: AbortSignal) => Promise<void>, clock = new FakeClock()) {
    return createWorkQueue({ clock, random: () => 0.5, log: silentLog, atOnce: 1, urgentAtOnce: 1, run });
  }

  test('does not wait for other work, nor for what is being done for the same key', async () => {
    const begun: string[] = [];
    const queue = queueOf(async (key, signal) => {
      begun.push(key);
      if (begun.filter((other) => other === key).length === 1) await untilAborted(signal);
    });
    queue.add('slow');
    queue.add('waits');
    await settled(2);
    queue.add('slow', { isUrgent: true });
    await settled(5);
    expect(begun).toEqual(['slow', 'slow', 'waits']);
    await queue.close();
  });

  test('that fails is not begun again before its delay, whatever it has added itself', async () => {
    const clock = new FakeClock();
    let runs = 0;
    const queue = queueOf(async (key) => {
      runs += 1;
      queue.add(key, { isUrgent: true });
      throw new Error('not yet');
    }, clock);
    queue.add('node', { isUrgent: true });
    await settled(5);
    expect(runs).toBe(1);
    await clock.advance(2_000);
    expect(runs).toBeGreaterThan(1);
    await queue.close();
  });
});

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error)),
  );
}

describe('the CA hash of k3s', () => {
  test('of one certificate is over the literal bytes, trailing newline and all', async () => {
    const { root } = await caChain();
    expect(caHash(root)).toBe(createHash('sha256').update(root).digest('hex'));
    expect(caHash(`${root}\n`)).not.toBe(caHash(root));
    expect(caHash(Buffer.from(root))).toBe(caHash(root));
  });

  test('of a bundle is over the DER of the root that its first certificate chains to', async () => {
    const { root, intermediate, stranger } = await caChain();
    const der = createHash('sha256').update(new X509Certificate(root).raw).digest('hex');
    expect(caHash(intermediate + root)).toBe(der);
    expect(caHash(intermediate + stranger + root)).toBe(der);
    expect(caHash(root + intermediate)).toBe(der);
  });

  test('of a bundle whose root is missing is over the bytes', async () => {
    const { intermediate, stranger } = await caChain();
    const bundle = intermediate + stranger;
    expect(caHash(bundle)).toBe(createHash('sha256').update(bundle).digest('hex'));
  });

  test('agrees with sha256sum', async () => {
    const { root } = await caChain();
    const sum = await new Promise<string>((resolve, reject) => {
      const child = execFile('sha256sum', (error, out) => (error ? reject(error) : resolve(out)));
      child.stdin?.end(root);
    });
    expect(sum.startsWith(caHash(root))).toBe(true);
  });

  test('a file without a certificate is refused', () => {
    expect(() => caHash('garbage')).toThrow('no PEM certificate');
  });
});
