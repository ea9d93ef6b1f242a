import { describe, expect, test } from 'vitest';
import { type Journal, silentLog } from '#base';
import { FakeClock, memoryJournal, settled } from '#testing';
import { ChainError } from './endpoints/index.ts';
import type { SignedTransaction } from './prepare-transaction.ts';
import type { ProbeResult } from './probe.ts';
import { createProbing, MOST_MIST_A_DAY, type ProbeSchedule } from './probing.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

interface Start {
  readonly startedAfterMs?: number;
  readonly failure?: ChainError;
  readonly chainId?: string;
}

const signedProbe = (digest: string): SignedTransaction => ({
  digest,
  bytes: new Uint8Array([1, 2, 3]),
  signature: 'signature',
  sponsorSignature: undefined,
  expirationEpoch: 7n,
  gas: [{ objectId: '0x9', version: '4' }],
  owned: [],
});

/** Probes of a chain that is made up, by a clock that is turned by hand. */
class Stage implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly sent: Array<readonly string[]> = [];
  /** Digests of what was given to the full nodes, in order. */
  readonly delivered: string[] = [];
  costMist = 1_010_000n;
  failure: ChainError | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly probing;

  constructor(
    schedule: ProbeSchedule,
    journal: Journal = memoryJournal(),
    { startedAfterMs = 0, failure, chainId = 'chain' }: Start = {},
  ) {
    this.clock = new FakeClock(startedAfterMs);
    this.failure = failure;
    this.probing = createProbing({
      client: {
        balance: async () => ({ coinsMist: 10n ** 10n, addressBalanceMist: 0n }),
        deployment: { chainId },
      } as never,
      wallet: { address: '0x1', signTransaction: async () => '' },
      schedule,
      clock: this.clock,
      log: silentLog,
      journal: async () => journal,
      transactions: {
        sign: async (_prober, { recordIds }) => {
          this.sent.push(recordIds);
          return signedProbe(`probe at ${this.clock.nowMs()}`);
        },
        send: async (_prober, signed): Promise<ProbeResult> => {
          this.delivered.push(signed.digest);
          if (this.failure) throw this.failure;
          const { costMist, clock } = this;
          return { digest: signed.digest, costMist, seenAtMs: clock.nowMs(), seen: new Map(), hidden: [] };
        },
      },
    });
    this.#running = this.probing.run(this.#stop.signal);
  }

  async pass(ms: number, stepMs = MINUTE_MS): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(Math.min(stepMs, left));
      await settled();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

describe('probes at an interval', () => {
  test('are sent at once and then every ten minutes, 144 a day', async () => {
    await using stage = new Stage({ kind: 'every', everyMs: 10 * MINUTE_MS });
    await settled();
    expect(stage.sent).toHaveLength(1);
    await stage.pass(DAY_MS - MINUTE_MS, 10 * MINUTE_MS);
    expect(stage.sent).toHaveLength(144);
    expect(stage.probing.status()).toMatchObject({ sentToday: 144, spentTodayMist: 144n * 1_010_000n });
  });

  test('are tried again after a minute when one brought nothing', async () => {
    await using stage = new Stage({ kind: 'every', everyMs: 10 * MINUTE_MS });
    stage.failure = new ChainError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });
    await stage.pass(10 * MINUTE_MS);
    expect(stage.probing.status().failure).toBe('away');
    // What was signed is settled first: nothing else is signed for the same coin.
    expect(stage.sent).toHaveLength(1);
    stage.failure = undefined;
    await stage.pass(MINUTE_MS);
    expect(stage.probing.status()).toMatchObject({ failure: undefined });
  });

  test('never cost more than half a SUI a day, whatever one costs', async () => {
    await using stage = new Stage({ kind: 'every', everyMs: 5 * MINUTE_MS });
    stage.costMist = 9_000_000n;
    await stage.pass(DAY_MS - MINUTE_MS, 5 * MINUTE_MS);
    expect(stage.probing.status().spentTodayMist).toBeLessThanOrEqual(MOST_MIST_A_DAY);
    expect(stage.sent.length).toBeLessThan(60);
    await stage.pass(DAY_MS, 5 * MINUTE_MS);
    expect(stage.sent.length).toBeGreaterThan(60);
  });
});

describe('a gateway that starts again and again', () => {
  test('spends no more than half a SUI a day all the same', async () => {
    const journal = memoryJournal();
    let sent = 0;
    for (let start = 0; start < 500; start += 1) {
      await using stage = new Stage({ kind: 'every', everyMs: 10 * MINUTE_MS }, journal, {
        startedAfterMs: start * 2 * MINUTE_MS,
      });
      await settled();
      sent += stage.sent.length;
    }
    expect(sent).toBeGreaterThan(450);
    expect(BigInt(sent) * 1_010_000n).toBeLessThanOrEqual(MOST_MIST_A_DAY);
  });

  test('settles the probe of before, unchanged, before it takes the same coin for another', async () => {
    const journal = memoryJournal();
    const schedule = { kind: 'every', everyMs: 10 * MINUTE_MS } as const;
    const failure = new ChainError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });
    let first: string | undefined;
    {
      await using killed = new Stage(schedule, journal, { failure });
      await settled();
      [first] = killed.delivered;
    }
    await using next = new Stage(schedule, journal, { startedAfterMs: MINUTE_MS });
    await settled();
    expect(next.delivered[0]).toBe(first);
    expect(next.delivered).toHaveLength(2);
    expect(next.probing.status()).toMatchObject({ sentToday: 2, spentTodayMist: 2n * 1_010_000n });
    await using last = new Stage(schedule, journal, { startedAfterMs: 2 * MINUTE_MS });
    await settled();
    expect(last.delivered).not.toContain(first);
  });

  test('counts what the probe of before did cost, also when its clock was set while it was written down', async () => {
    const journal = memoryJournal();
    const schedule = { kind: 'every', everyMs: 10 * MINUTE_MS } as const;
    const failure = new ChainError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });
    {
      const write: Journal['write'] = async (key, value) => {
        await journal.write(key, value);
        killed.clock.step(1);
      };
      await using killed = new Stage(schedule, { ...journal, write }, { failure });
      await settled();
      expect(killed.probing.status().spentTodayMist).toBeGreaterThan(1_010_000n);
    }
    await using next = new Stage(schedule, journal, { startedAfterMs: MINUTE_MS });
    await settled();
    expect(next.probing.status()).toMatchObject({ sentToday: 2, spentTodayMist: 2n * 1_010_000n });
  });

  test('gives the probe of another chain to no full node', async () => {
    const journal = memoryJournal();
    const failure = new ChainError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });
    let first: string | undefined;
    {
      await using elsewhere = new Stage({ kind: 'every', everyMs: MINUTE_MS }, journal, { failure });
      await settled();
      [first] = elsewhere.delivered;
    }
    await using stage = new Stage({ kind: 'every', everyMs: MINUTE_MS }, journal, {
      startedAfterMs: MINUTE_MS,
      chainId: 'another',
    });
    await settled();
    expect(stage.delivered).toHaveLength(1);
    expect(stage.delivered).not.toContain(first);
  });

  test('sends none for a day when it cannot read what was spent', async () => {
    const journal = memoryJournal(new Map([['sent', 'lots']]));
    await using stage = new Stage({ kind: 'every', everyMs: 10 * MINUTE_MS }, journal);
    await stage.pass(DAY_MS - MINUTE_MS, 10 * MINUTE_MS);
    expect(stage.sent).toEqual([]);
    await stage.pass(2 * MINUTE_MS);
    expect(stage.sent).toHaveLength(1);
  });
});

describe('probes for admissions', () => {
  test('are sent when they are asked for, and those who ask at once share one', async () => {
    await using stage = new Stage({ kind: 'admissions' });
    await stage.pass(DAY_MS, DAY_MS);
    expect(stage.sent).toEqual([]);
    stage.probing.ask('0xa');
    stage.probing.ask('0xb');
    stage.probing.ask('0xa');
    await settled();
    expect(stage.sent).toEqual([['0xa', '0xb']]);
    stage.probing.ask('0xc');
    await settled();
    expect(stage.sent).toHaveLength(1);
    await stage.pass(10_000, 10_000);
    expect(stage.sent).toHaveLength(2);
  });

  test('are no more than 144 a day, however often somebody asks', async () => {
    await using stage = new Stage({ kind: 'admissions' });
    for (let count = 0; count < 160; count += 1) {
      stage.probing.ask(`0x${count}`);
      await stage.pass(10_000, 10_000);
    }
    expect(stage.sent).toHaveLength(144);
  });

  test('do not delay those at an interval', async () => {
    await using stage = new Stage({ kind: 'every', everyMs: 10 * MINUTE_MS });
    for (let count = 0; count < 160; count += 1) {
      stage.probing.ask(`0x${count}`);
      await stage.pass(10_000, 10_000);
    }
    const before = stage.sent.length;
    await stage.pass(60 * MINUTE_MS, 10 * MINUTE_MS);
    expect(stage.sent.length - before).toBe(6);
  });
});
