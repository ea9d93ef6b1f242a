import { bcs } from '@mysten/sui/bcs';
import { Transaction, TransactionDataBuilder } from '@mysten/sui/transactions';
import { expect, test } from 'vitest';
import { type Journal, silentLog } from '#base';
import type { AuditAnchor } from '#domain';
import { FakeClock, memoryJournal, settled } from '#testing';
import type { AnchorMode } from './anchoring.ts';
import { readAnchoring } from './audit-anchor.ts';
import { ChainError } from './endpoints/index.ts';
import type { SignedTransaction } from './prepare-transaction.ts';
import { createProbing, type ProbeSchedule } from './probing.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const owner = { clusterId: `0x${'c'.repeat(64)}`, gatewayId: 'gateway-1' };

async function transactionWith(statement: Uint8Array | undefined): Promise<SignedTransaction> {
  const tx = new Transaction();
  tx.setSender('0xa');
  tx.setGasPrice(1_000);
  tx.setGasBudget(1_000_000);
  tx.setGasPayment([{ objectId: '0x9', version: '4', digest: '4'.repeat(44) }]);
  if (statement) tx.pure(bcs.vector(bcs.u8()).serialize(statement));
  const bytes = await tx.build();
  const digest = TransactionDataBuilder.getDigestFromBytes(bytes);
  return { digest, bytes, signature: 'signature', expirationEpoch: 7n, gas: [], owned: [] };
}

interface Scene {
  readonly schedule: ProbeSchedule;
  readonly mode: AnchorMode;
  readonly journal?: Journal;
  readonly startedAfterMs?: number;
  readonly failure?: ChainError;
  readonly wallet?: string;
}

/** A gateway whose audit file grows by a line whenever it is asked. */
class Stage implements AsyncDisposable {
  readonly clock: FakeClock;
  /** The line that each probe carries, in order. */
  readonly sent: Array<number | undefined> = [];
  readonly noted: AuditAnchor[] = [];
  failure: ChainError | undefined;
  isDiskFull = false;
  isBusy = false;
  lines = 0;
  readonly probing;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor({
    schedule,
    mode,
    journal = memoryJournal(),
    startedAfterMs = 0,
    failure,
    wallet = '0xa',
  }: Scene) {
    this.clock = new FakeClock(startedAfterMs);
    this.failure = failure;
    this.probing = createProbing({
      client: {
        balance: async () => ({ coinsMist: 10n ** 10n, addressBalanceMist: 0n }),
        deployment: { chainId: 'chain', clusterId: owner.clusterId },
      } as never,
      wallet: { address: wallet, signTransaction: async () => '' },
      schedule,
      anchoring: { mode, gatewayId: owner.gatewayId },
      clock: this.clock,
      log: silentLog,
      journal: async () => journal,
      transactions: {
        sign: async (_prober, { statement }) => transactionWith(statement),
        send: async (_prober, { bytes, digest }) => {
          if (this.failure) throw this.failure;
          this.sent.push(readAnchoring(bytes, owner).anchor?.sequence);
          const seenAtMs = this.clock.nowMs();
          return { digest, costMist: 1_010_000n, seenAtMs, seen: new Map(), hidden: [] };
        },
      },
    });
    this.probing.carry({
      head: async () => {
        if (this.isBusy) await new Promise(() => undefined);
        if (this.isDiskFull) throw new Error('the disk is full');
        this.lines += 1;
        return { sequence: this.lines, hash: 'ab'.repeat(32), atMs: this.clock.nowMs() };
      },
      anchored: (anchor) => this.noted.push(anchor),
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

const off: ProbeSchedule = { kind: 'off' };
const everyTenMinutes: ProbeSchedule = { kind: 'every', everyMs: 10 * MINUTE_MS };

test('one probe a day carries the end of the audit file, where nothing else is probed', async () => {
  await using stage = new Stage({ schedule: off, mode: 'daily' });
  await settled();
  expect(stage.sent).toEqual([1]);
  expect(stage.noted).toMatchObject([{ sequence: 1, digest: expect.any(String) }]);
  stage.probing.ask('0xrecord');
  await stage.pass(DAY_MS - HOUR_MS, HOUR_MS);
  expect(stage.sent).toEqual([1]);
  expect(stage.probing.status().anchors).toMatchObject({ mode: 'daily', ageMs: DAY_MS - HOUR_MS });
  await stage.pass(HOUR_MS);
  expect(stage.sent).toEqual([1, 2]);
  await stage.pass(10 * DAY_MS, HOUR_MS);
  expect(stage.sent).toHaveLength(12);
});

test('every probe that is made anyway carries it, and none is made for it', async () => {
  await using stage = new Stage({ schedule: everyTenMinutes, mode: 'probes' });
  await settled();
  await stage.pass(HOUR_MS);
  expect(stage.sent).toEqual([1, 2, 3, 4, 5, 6, 7]);
  await using seldom = new Stage({ schedule: { kind: 'admissions' }, mode: 'probes' });
  await seldom.pass(3 * DAY_MS, HOUR_MS);
  expect(seldom.sent).toEqual([]);
  expect(seldom.probing.status().anchors).toMatchObject({ newest: undefined, ageMs: 3 * DAY_MS });
  seldom.probing.ask('0xrecord');
  await settled();
  expect(seldom.sent).toEqual([1]);
});

test('a probe for an admission puts the daily one off', async () => {
  await using stage = new Stage({ schedule: { kind: 'admissions' }, mode: 'daily' });
  await settled();
  await stage.pass(12 * HOUR_MS, HOUR_MS);
  stage.probing.ask('0xrecord');
  await settled();
  expect(stage.sent).toEqual([1, 2]);
  await stage.pass(23 * HOUR_MS, HOUR_MS);
  expect(stage.sent).toHaveLength(2);
  await stage.pass(HOUR_MS);
  expect(stage.sent).toHaveLength(3);
});

test('a gateway that starts again and again anchors once a day all the same', async () => {
  const journal = memoryJournal();
  let sent = 0;
  for (let start = 0; start < 30; start += 1) {
    await using stage = new Stage({
      schedule: off,
      mode: 'daily',
      journal,
      startedAfterMs: start * HOUR_MS,
    });
    await settled();
    sent += stage.sent.length;
  }
  expect(sent).toBe(2);
});

test('no probe is paid for a line that is not on disk, and one that is made anyway goes without it', async () => {
  await using stage = new Stage({ schedule: off, mode: 'daily', startedAfterMs: 1 });
  await settled();
  stage.isDiskFull = true;
  await stage.pass(2 * DAY_MS, HOUR_MS);
  expect(stage.sent).toEqual([1]);
  expect(stage.probing.status().failure).toBe('the disk is full');
  stage.isDiskFull = false;
  await stage.pass(MINUTE_MS);
  expect(stage.sent).toEqual([1, 2]);
  await using anyway = new Stage({ schedule: everyTenMinutes, mode: 'daily' });
  anyway.isDiskFull = true;
  await settled();
  await anyway.pass(HOUR_MS);
  expect(anyway.sent.slice(1)).toEqual(Array(6).fill(undefined));
});

test('what a killed gateway has sent is noted by the next one, once it is known to be executed', async () => {
  const journal = memoryJournal();
  const failure = new ChainError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });
  {
    await using killed = new Stage({ schedule: off, mode: 'daily', journal, failure });
    await settled();
    expect(killed.noted).toEqual([]);
  }
  await using next = new Stage({ schedule: off, mode: 'daily', journal, startedAfterMs: MINUTE_MS });
  await settled();
  expect(next.noted[0]).toMatchObject({ sequence: 1, atMs: 0 });
});

test('a clock that was ahead, and is put right, holds the daily anchor up for no longer than a day, and its age shows', async () => {
  await using stage = new Stage({ schedule: off, mode: 'daily', startedAfterMs: 1_000 * DAY_MS });
  stage.clock.step(400 * DAY_MS);
  await settled();
  expect(stage.sent).toEqual([1]);
  stage.clock.step(-400 * DAY_MS);
  await stage.pass(12 * HOUR_MS, HOUR_MS);
  expect(stage.probing.status().anchors?.ageMs).toBe(12 * HOUR_MS);
  await stage.pass(2 * DAY_MS, HOUR_MS);
  expect(stage.sent).toEqual([1, 2, 3]);
});

test('one anchor a day is paid for where the journal cannot be written, or none', async () => {
  const journal = memoryJournal();
  const stages: Stage[] = [];
  const full: Journal = {
    ...journal,
    write: async (key, value) => {
      if (stages.some(({ sent }) => sent.length > 0)) throw new Error('the disk is full');
      await journal.write(key, value);
    },
  };
  await using stage = new Stage({ schedule: off, mode: 'daily', journal: full });
  stages.push(stage);
  await settled();
  expect(stage.sent).toEqual([1]);
  expect(stage.noted).toHaveLength(1);
  await stage.pass(3 * DAY_MS, HOUR_MS);
  // What would be sent for it alone could not be written down.
  expect(stage.sent).toEqual([1]);
  expect(stage.probing.status()).toMatchObject({ failure: 'the disk is full', sentToday: 0 });
});

test('a probe that is made anyway does not wait for an audit file that gives no line', async () => {
  await using stage = new Stage({ schedule: everyTenMinutes, mode: 'daily' });
  stage.isBusy = true;
  await settled();
  await stage.pass(MINUTE_MS);
  expect(stage.sent).toEqual([undefined]);
});

test('another wallet anchors at once: what the earlier one has anchored is not found by its coins', async () => {
  const journal = memoryJournal();
  for (const [wallet, startedAfterMs] of [
    ['0xa', 0],
    ['0xb', HOUR_MS],
    ['0xb', 2 * HOUR_MS],
  ] as const) {
    await using stage = new Stage({ schedule: off, mode: 'daily', journal, wallet, startedAfterMs });
    await settled();
    expect(stage.sent).toHaveLength(startedAfterMs === 2 * HOUR_MS ? 0 : 1);
  }
});
