import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '#base';
import { type EtcdState, openEtcdState, sealEngine } from '#state';
import { describeEngine, type EngineSite, sealedSite, TestRing } from '../src/state/engine.fixture.ts';
import { candidatesBehind, expectSilentLeaderToCease, leads, put } from './state/candidates.ts';
import { type EtcdServer, etcdProblem, startEtcd } from './state/etcd-server.ts';
import { wireTo } from './state/wire.ts';

const problem = etcdProblem();
let etcd: EtcdServer;
let sites = 0;

beforeAll(async () => {
  if (problem === undefined) etcd = await startEtcd();
});
afterAll(() => etcd?.[Symbol.asyncDispose]());

const open = (prefix: string, name: string, url = etcd.url): Promise<EtcdState> =>
  openEtcdState({ endpoints: [url], prefix, name, leaseSeconds: 5, clock: systemClock });

/** Engines of one gateway after the other, each of which leads. */
async function etcdSite(): Promise<EngineSite> {
  sites += 1;
  const prefix = `/test/${sites}`;
  return {
    async open() {
      const { engine, leadership } = await open(prefix, 'gateway');
      await leadership.untilLeading(AbortSignal.timeout(20_000));
      return engine;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

describe.skipIf(problem !== undefined)(`etcd${problem === undefined ? '' : ` (${problem})`}`, () => {
  describeEngine('the etcd engine', etcdSite);
  describeEngine('the etcd engine, sealed', async () => sealedSite(await etcdSite()));

  async function pair() {
    sites += 1;
    const prefix = `/test/${sites}`;
    const wire = await wireTo(etcd.url);
    return { prefix, ...(await candidatesBehind(wire, (name, url) => open(prefix, name, url))) };
  }
  /** Ends the lease of the one who leads, as time does. */
  async function expire(prefix: string): Promise<void> {
    const key = Buffer.from(`${prefix}/leader`).toString('base64');
    const found = await etcd.call('/v3/kv/range', { key });
    const [{ lease }] = found.kvs as [{ lease: string }];
    await etcd.call('/v3/lease/revoke', { ID: lease });
  }

  test('one leads, the other changes nothing and knows who does; a clean stop hands over', async () => {
    const { first, second } = await pair();
    await first.engine.write(put('1'));
    await expect.poll(() => second.leadership.leader()).toBe('first');
    await expect(second.engine.write(put('2'))).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NOT_LEADING',
      message: expect.stringContaining('first'),
    });
    expect(await second.engine.read('/workers/a')).toBe('1');
    await first.engine[Symbol.asyncDispose]();
    await leads(second);
    await second.engine.write(put('2'));
    expect(await second.engine.read('/workers/a')).toBe('2');
  });

  test('a stale leader’s write fails at etcd, although it takes itself for the leader', async () => {
    const { prefix, first, second } = await pair();
    await first.engine.write(put('1'));
    await expire(prefix);
    await leads(second);
    await second.engine.write(put('2'));
    expect(first.leadership.isLeading()).toBe(true);
    const lost = first.leadership.run(AbortSignal.timeout(20_000));
    lost.catch(() => undefined);
    await expect(first.engine.write(put('stale'))).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NOT_LEADING',
    });
    await expect(lost).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_LEADING' });
    expect(first.leadership.isLeading()).toBe(false);
    expect(await second.engine.read('/workers/a')).toBe('2');
  });

  test('a leader that etcd does not hear stops leading by itself before another leads, and never leads again', async () => {
    await expectSilentLeaderToCease(await pair());
  });

  test('a write that arrives late does not overwrite the one that came after it', async () => {
    const { wire, first } = await pair();
    await first.engine.write(put('1'));
    wire.freeze();
    await expect(first.engine.write(put('late'))).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_STORE_FAILED',
    });
    const third = await wireTo(etcd.url);
    onTestFinished(() => third[Symbol.asyncDispose]());
    wire.mend();
    await first.engine.write(put('after'));
    // Both have arrived, in whichever order.
    expect(await first.engine.read('/workers/a')).toBe('after');
  });

  test('a swapped record in etcd is found by who reads all of it', async () => {
    const { prefix, first } = await pair();
    const ring = new TestRing();
    const sealed = await sealEngine(first.engine, ring, '0xc1');
    await sealed.write([
      { key: '/workers/a', text: '1' },
      { key: '/workers/b', text: '2' },
    ]);
    const key = (name: string) => Buffer.from(`${prefix}/records/workers/${name}`).toString('base64');
    const { kvs } = await etcd.call('/v3/kv/range', { key: key('a') });
    const [{ value }] = kvs as [{ value: string }];
    await etcd.call('/v3/kv/put', { key: key('b'), value });
    await expect(sealed.list('/')).rejects.toMatchObject({ code: 'DAAS_STATE_FORGED' });
    await expect(sealEngine(first.engine, ring, '0xc1')).rejects.toMatchObject({ code: 'DAAS_STATE_FORGED' });
  });

  test('an etcd that is away is waited for, and an unsealed record in it is refused', async () => {
    const { prefix, first } = await pair();
    await expect(
      open(prefix, 'third', 'http://127.0.0.1:1').then(({ engine }) => engine.read('/a')),
    ).rejects.toMatchObject({
      code: 'DAAS_STATE_UNREACHABLE',
      exitCode: 75,
    });
    await first.engine.write(put('{"node_id":"a"}'));
    await expect(sealEngine(first.engine, new TestRing(), '0xc1')).rejects.toMatchObject({
      code: 'DAAS_STATE_FORGED',
    });
  });
});
