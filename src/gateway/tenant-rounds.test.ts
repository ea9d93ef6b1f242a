import { beforeEach, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import type { StakeStatus, TenantNamespace } from '#domain';
import { FakeChain, FakeClock, type LogRecord, RecordingLog, settled } from '#testing';
import { createTenantRounds } from './tenant-rounds.ts';

const wallet = '0x71';
const graceMs = 3_600_000;

describe('the namespaces of people are looked after', () => {
  let clock: FakeClock;
  let chain: FakeChain;
  let namespaces: TenantNamespace[];
  let done: string[];
  let audit: string[];
  let logged: LogRecord[];
  let changes: readonly string[];
  let stop: AbortController;

  beforeEach(() => {
    clock = new FakeClock();
    chain = new FakeChain({ clock, clusterId: '0xcc', staker: wallet });
    [namespaces, done, audit, logged, changes] = [[], [], [], [], []];
    stop = new AbortController();
  });
  const stake = (status: StakeStatus = 'active', stakeMist = 1_000n) => {
    const recordId = chain.addRecord({ nodeId: '', stakeType: 'user', stakeMist, staker: wallet });
    chain.change(recordId, { status });
    return recordId;
  };
  const namespace = (...recordIds: string[]): TenantNamespace => ({
    wallet,
    namespace: 'seal-71',
    recordIds,
    endedAtMs: undefined,
    keptUntilMs: undefined,
  });
  function begin(remove = false): void {
    const keeper = {
      refresh: () => Promise.resolve({ namespaces, changes }),
      announceEnd: ({ endedAtMs, keptUntilMs }: { endedAtMs: number; keptUntilMs: number }) => {
        done.push('announced');
        namespaces = namespaces.map((one) => ({ ...one, endedAtMs, keptUntilMs }));
        return Promise.resolve();
      },
      remove: () => {
        done.push('removed');
        namespaces = [];
        return Promise.resolve(true);
      },
    };
    const log = new RecordingLog(logged);
    const own = { audit: { record: (event: string) => audit.push(event) }, clock, log, graceMs, remove };
    void createTenantRounds({ keeper, chain, ...own }).run(stop.signal);
  }
  const pass = async (ms: number) => {
    await clock.advance(ms);
    await settled();
  };

  test('the end of the last stake is announced once, and the namespace stays unless the operator says otherwise', async () => {
    namespaces = [namespace(stake('withdrawn'))];
    begin();
    await pass(graceMs * 2);
    expect(done).toEqual(['announced']);
    expect(audit).toEqual(['tenant.ended']);
  });

  test('it is removed after the grace if the operator says so', async () => {
    namespaces = [namespace(stake('slashed'))];
    begin(true);
    await pass(graceMs - 600_000);
    expect(done).toEqual(['announced']);
    await pass(1_200_000);
    expect(done).toEqual(['announced', 'removed']);
    expect(audit).toEqual(['tenant.ended', 'tenant.removed']);
  });

  test('one of several stakes that counts, and a record that cannot be read, keep it', async () => {
    namespaces = [namespace(stake('withdrawn'), stake()), namespace('0xnone')];
    begin(true);
    await pass(graceMs * 2);
    expect(done).toEqual([]);
  });

  test('a stake below the first tier counts for nothing', async () => {
    namespaces = [namespace(stake('active', 0n))];
    begin();
    await settled();
    expect(done).toEqual(['announced']);
  });

  test('what was restored is in the audit file, and a chain that is away ends nothing', async () => {
    changes = ['seal-71: made NetworkPolicy'];
    namespaces = [namespace(stake('withdrawn'))];
    chain.isDown = true;
    begin(true);
    await settled();
    expect(audit).toEqual(['tenant.restored']);
    expect(done).toEqual([]);
    expect(logged.map(({ message }) => message)).toEqual([
      'The namespaces of people could not be looked after',
    ]);
    chain.isDown = false;
    await pass(600_000);
    expect(done).toEqual(['announced']);
  });

  test('an API server that is away is asked again in the next round', async () => {
    let asked = 0;
    const keeper = {
      refresh: () => {
        asked += 1;
        return Promise.reject(new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'away', { isRetryable: true }));
      },
      announceEnd: () => Promise.resolve(),
      remove: () => Promise.resolve(false),
    };
    const log = new RecordingLog(logged);
    void createTenantRounds({
      keeper,
      chain,
      audit: { record: () => undefined },
      clock,
      log,
      graceMs,
      remove: true,
    }).run(stop.signal);
    await pass(600_000);
    expect(asked).toBe(2);
    stop.abort();
  });
});
