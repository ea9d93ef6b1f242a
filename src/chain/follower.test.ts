import { describe, expect, test } from 'vitest';
import { ConfigurationError, DaasError } from '#base';
import type { Cluster, FollowerReport, RingEntry } from '#domain';
import { changesSince, createChangeFollower, nextDelayMs } from './follower.ts';

const CAPACITY = 256;

/** The rings as `cluster::note` keeps them. */
function rings() {
  const state = { sequence: 0n, critical: [] as RingEntry[], other: [] as RingEntry[] };
  const dropped = { critical: 0n, other: 0n };
  return {
    change(record: string, ring: 'critical' | 'other' = 'other') {
      state.sequence += 1n;
      const kept = state[ring].filter((entry) => entry.record !== record);
      if (kept.length === CAPACITY) dropped[ring] = kept.shift()?.sequence ?? 0n;
      state[ring] = [...kept, { record, sequence: state.sequence }];
    },
    cluster: (): Cluster =>
      ({
        changeSequence: state.sequence,
        criticalRing: state.critical,
        otherRing: state.other,
        droppedCritical: dropped.critical,
        droppedOther: dropped.other,
      }) as unknown as Cluster,
  };
}

describe('changesSince', () => {
  test('a follower that knows nothing is told to make a full pass', () => {
    const chain = rings();
    chain.change('a');
    expect(changesSince(undefined, chain.cluster())).toMatchObject({
      isFullPassNeeded: true,
      others: ['a'],
      sequence: 1n,
    });
  });

  test('what was seen is not named again, what changed again is', () => {
    const chain = rings();
    chain.change('a');
    chain.change('b', 'critical');
    chain.change('a');
    expect(changesSince(1n, chain.cluster())).toMatchObject({
      isFullPassNeeded: false,
      critical: ['b'],
      others: ['a'],
      sequence: 3n,
    });
    expect(changesSince(3n, chain.cluster())).toMatchObject({ critical: [], others: [] });
  });

  test('a follower exactly at the dropped sequence has missed nothing, one before it may have', () => {
    const chain = rings();
    for (let index = 0; index <= CAPACITY; index += 1) chain.change(`r${index}`);
    expect(changesSince(1n, chain.cluster())).toMatchObject({ isFullPassNeeded: false });
    expect(changesSince(1n, chain.cluster())?.others).toHaveLength(CAPACITY);
    expect(changesSince(0n, chain.cluster())).toMatchObject({ isFullPassNeeded: true });
  });

  test('a flood of ordinary changes does not hide a slash', () => {
    const chain = rings();
    chain.change('slashed', 'critical');
    for (let index = 0; index < 1_000; index += 1) chain.change(`r${index}`);
    expect(changesSince(0n, chain.cluster())).toMatchObject({
      isFullPassNeeded: true,
      critical: ['slashed'],
    });
  });

  test('a node that is behind what was seen says nothing', () => {
    const chain = rings();
    chain.change('a');
    expect(changesSince(2n, chain.cluster())).toBeUndefined();
  });

  test('no change is missed over random histories, however long the pauses between readings', () => {
    const seed = Number(process.env.SEED ?? 20_261_122);
    const random = mulberry32(seed);
    for (let run = 0; run < 200; run += 1) {
      const chain = rings();
      let seen: bigint | undefined;
      for (let reading = 0; reading < 10; reading += 1) {
        const expected = new Set<string>();
        const changes = Math.floor(random() * (reading % 3 === 0 ? 600 : 40));
        for (let index = 0; index < changes; index += 1) {
          const record = `r${Math.floor(random() * 400)}`;
          chain.change(record, random() < 0.2 ? 'critical' : 'other');
          expected.add(record);
        }
        const report = changesSince(seen, chain.cluster());
        const named = new Set([...(report?.critical ?? []), ...(report?.others ?? [])]);
        const missed = [...expected].filter((record) => !named.has(record));
        expect({ seed, run, missed: report?.isFullPassNeeded ? [] : missed }).toEqual({
          seed,
          run,
          missed: [],
        });
        seen = report?.sequence;
      }
    }
  });
});

describe('the loop', () => {
  const immediately = { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => undefined };
  const outage = () => new DaasError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });

  async function collect(answers: Array<Cluster | Error>, count: number): Promise<FollowerReport[]> {
    const ended = new AbortController();
    const reports: FollowerReport[] = [];
    const reader = {
      cluster: async () => {
        const answer = answers.shift();
        if (!answer) return ended.abort() as never;
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
    for await (const report of createChangeFollower(reader, immediately).follow({ signal: ended.signal })) {
      reports.push(report);
      if (reports.length === count) ended.abort();
    }
    return reports;
  }

  test('an outage is reported as not knowing, and everything that happened meanwhile comes after it', async () => {
    const chain = rings();
    chain.change('a');
    const before = chain.cluster();
    chain.change('b', 'critical');
    chain.change('c');
    const reports = await collect([before, outage(), outage(), chain.cluster()], 4);
    expect(reports.map(({ kind }) => kind)).toEqual(['changes', 'outage', 'outage', 'changes']);
    expect(reports[2]).toMatchObject({ failures: 2 });
    expect(reports[3]).toMatchObject({ isFullPassNeeded: false, critical: ['b'], others: ['c'] });
  });

  test('a reading without changes is reported too, so that facts are known to be fresh', async () => {
    const chain = rings();
    const reports = await collect([chain.cluster(), chain.cluster()], 2);
    expect(reports[1]).toMatchObject({ kind: 'changes', critical: [], others: [], isFullPassNeeded: false });
  });

  test('an answer from a node that lags is passed over and forgets nothing', async () => {
    const chain = rings();
    chain.change('a');
    const old = chain.cluster();
    chain.change('b');
    const newer = chain.cluster();
    const reports = await collect([newer, old, newer], 2);
    expect(reports[1]).toMatchObject({ others: [], sequence: 2n });
  });

  test('a node that refuses to answer is an outage too, and ends nothing', async () => {
    const refusal = new DaasError('DAAS_CHAIN_REFUSED', 'no');
    const reports = await collect([refusal, rings().cluster()], 2);
    expect(reports.map(({ kind }) => kind)).toEqual(['outage', 'changes']);
  });

  test('a wrong configuration ends it', async () => {
    const wrong = new ConfigurationError('DAAS_CHAIN_ID_MISMATCH', 'another chain');
    await expect(collect([wrong], 1)).rejects.toBe(wrong);
  });

  test('it ends when the signal aborts', async () => {
    const follower = createChangeFollower({ cluster: async () => rings().cluster() }, immediately);
    const reports: FollowerReport[] = [];
    for await (const report of follower.follow({ signal: AbortSignal.abort() })) reports.push(report);
    expect(reports).toEqual([]);
  });
});

test('a node that is away is asked at growing intervals, at least every ten seconds', () => {
  expect([0, 1, 2, 3, 4, 9].map((failures) => nextDelayMs(failures, 1_000))).toEqual([
    1_000, 1_000, 2_000, 4_000, 8_000, 10_000,
  ]);
});

/** A small generator with a printable seed. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
