import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '#base';
import { removeSetup, STATE_NAMESPACE, STATE_TYPE, setupCluster } from '#cluster';
import { backUpState, openBackup, verifyState } from '#gateway';
import { addKey, createStore, openKeyRing, sealEngine } from '#state';
import { StateConfig } from '../src/gateway/state-config.ts';
import { describeEngine, sealedSite, TestRing } from '../src/state/engine.fixture.ts';
import { callerOf } from './standin/kubernetes-calls.ts';
import { candidatesBehind, expectSilentLeaderToCease, leads, put } from './state/candidates.ts';
import {
  type KubernetesSite,
  kubernetesSite,
  setUpSite,
  stateLease,
  stateSecrets,
} from './state/kubernetes-site.ts';
import { wireTo } from './state/wire.ts';
import { suiteWorld } from './suite-world.ts';
import type { KubernetesWorld } from './world/suite-worlds.ts';

let world: KubernetesWorld;
let site: KubernetesSite;

describe.skipIf(suiteWorld.isMissing)(`a state in Secrets of ${suiteWorld.name}`, () => {
  beforeAll(async () => {
    world = await suiteWorld.startKubernetes();
    site = await setUpSite(world);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  describeEngine('the kubernetes engine', () => kubernetesSite(site));
  describeEngine('the kubernetes engine, sealed', async () => sealedSite(await kubernetesSite(site)));

  async function pair(leaseSeconds = 5) {
    await site.clear();
    const wire = await wireTo(world.url);
    return candidatesBehind(wire, (name, url) =>
      site.open(name, url === undefined ? {} : { url: url.replace('http:', 'https:'), leaseSeconds }),
    );
  }
  /** Takes the Lease from the one who leads, as somebody may by hand. */
  async function takeAway(): Promise<void> {
    const { object } = await site.admin('GET', stateLease);
    const { holderIdentity: _holder, ...spec } = object.spec as Record<string, unknown>;
    expect((await site.admin('PUT', stateLease, { ...object, spec })).status).toBe(200);
  }

  test('one leads, the other changes nothing and knows who does; a clean stop hands over', async () => {
    const { first, second } = await pair();
    await first.engine.write(put('1'));
    await expect.poll(() => second.leadership.leader(), { timeout: 10_000 }).toBe('first');
    await expect(second.engine.write(put('2'))).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NOT_LEADING',
      message: expect.stringContaining('first'),
    });
    expect(await second.engine.read('/workers/a')).toBe('1');
    await first.engine[Symbol.asyncDispose]();
    await leads(second);
    await second.engine.write(put('2'));
    expect(await second.engine.read('/workers/a')).toBe('2');
    expect((await site.admin('GET', stateLease)).object.spec).toMatchObject({
      holderIdentity: expect.stringMatching(/^second_/),
      leaseDurationSeconds: 5,
      leaseTransitions: 2,
    });
  });

  test('a stale leader’s write fails at the API server, although it takes itself for the leader', async () => {
    const { wire, first, second } = await pair(60);
    await first.engine.write(put('1'));
    // So that it does not hear of its loss by its Lease.
    wire.freeze();
    await takeAway();
    await leads(second);
    await second.engine.write(put('2'));
    expect(first.leadership.isLeading()).toBe(true);
    const lost = first.leadership.run(AbortSignal.timeout(30_000));
    lost.catch(() => undefined);
    const stale = first.engine.write(put('stale'));
    wire.mend();
    await expect(stale).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_LEADING' });
    await expect(lost).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_LEADING' });
    expect(first.leadership.isLeading()).toBe(false);
    expect(await second.engine.read('/workers/a')).toBe('2');
  });

  test('a leader that the API server does not hear stops leading by itself before another leads, and never leads again', async () => {
    await expectSilentLeaderToCease(await pair());
  });

  /** Of the Secrets of the state. */
  async function versionsOf(): Promise<ReadonlyMap<string, string | undefined>> {
    const { object } = await site.admin('GET', stateSecrets);
    return new Map(
      (object.items ?? []).map(({ metadata }) => [metadata.name ?? '', metadata.resourceVersion]),
    );
  }

  test('what was written long ago lies in buckets, and each write is one of the head', async () => {
    const { first } = await pair();
    const record = 'x'.repeat(1_000);
    const write = (index: number) =>
      first.engine.write([
        { key: `/workers/${index}`, text: record },
        { key: '/hot', text: String(index) },
      ]);
    for (let index = 0; index < 60; index += 1) await write(index);
    const { object } = await site.admin('GET', stateSecrets);
    const found = object.items ?? [];
    expect(found.every(({ type }) => type === STATE_TYPE)).toBe(true);
    const names = found.map(({ metadata }) => metadata.name ?? '');
    expect(names).toContain('head');
    expect(names.filter((name) => /^records-[0-9a-f]{3}$/.test(name)).length).toBeGreaterThan(10);
    const all = await first.engine.list('/');
    expect([all.length, await first.engine.read('/hot')]).toEqual([61, '59']);
    expect(all.filter(([, text]) => text === record)).toHaveLength(60);
    let alone = 0;
    let versions = await versionsOf();
    for (let index = 0; index < 8; index += 1) {
      await write(index);
      const after = await versionsOf();
      const changed = [...after].filter(([name, version]) => versions.get(name) !== version);
      if (changed.length === 1 && changed[0]?.[0] === 'head') alone += 1;
      versions = after;
    }
    // Some 8 KB are moved at a time.
    expect(alone).toBeGreaterThanOrEqual(6);
  });

  test('a leader that renews its Lease writes nothing else', async () => {
    const { first } = await pair();
    await first.engine.write(put('1'));
    const renewedAt = async () => ((await site.admin('GET', stateLease)).object.spec as object) ?? {};
    const [versions, lease] = [await versionsOf(), await renewedAt()];
    await expect.poll(renewedAt, { timeout: 10_000 }).not.toEqual(lease);
    expect(await versionsOf()).toEqual(versions);
  });

  test('a swapped, an unsealed or a removed Secret of the state is found by who reads all of it', async () => {
    const { first } = await pair();
    const ring = new TestRing();
    const sealed = await sealEngine(first.engine, ring, '0xc1');
    await sealed.write([
      { key: '/workers/a', text: '1' },
      { key: '/workers/b', text: '2' },
    ]);
    const forged = { code: 'DAAS_STATE_FORGED' };
    const head = (await site.admin('GET', `${stateSecrets}/head`)).object;
    const change = async (edit: (text: string) => string) => {
      const { object } = await site.admin('GET', `${stateSecrets}/head`);
      const { state = '' } = head.data as Record<string, string>;
      const text = edit(Buffer.from(state, 'base64').toString('utf8'));
      const data = { state: Buffer.from(text).toString('base64') };
      expect((await site.admin('PUT', `${stateSecrets}/head`, { ...object, data })).status).toBe(200);
    };
    await change((text) =>
      text.replace('/workers/a', '/x').replace('/workers/b', '/workers/a').replace('/x', '/workers/b'),
    );
    await expect(sealed.list('/')).rejects.toMatchObject(forged);
    await change((text) => text.replace(/k3s-daas-sealed[^"]*/, '1'));
    await expect(sealed.list('/')).rejects.toMatchObject(forged);
    await change((text) => text);
    expect(await sealed.list('/')).toHaveLength(2);
    await site.admin('DELETE', `${stateSecrets}/head`);
    await site.admin('POST', stateSecrets, {
      metadata: { name: 'records-000' },
      type: STATE_TYPE,
      stringData: { state: '{"format":"k3s-daas-state/1","sequence":1,"records":[["/workers/a","1"]]}' },
    });
    await expect(sealed.list('/')).rejects.toMatchObject(forged);
  });

  test('the gateway’s credentials write the state in its namespace and nowhere else, nothing else there, and delete none of it', async () => {
    const { first } = await pair();
    await first.engine.write(put('1'));
    const token = /token: (\S+)/.exec(site.kubeconfig)?.[1];
    const gateway = callerOf(world, undefined, { authorization: `Bearer ${token}` });
    const attempt = async (method: string, path: string, body?: object) =>
      (await gateway(method, path, body)).status;
    const named = (type: string) => ({ metadata: { name: 'attempt' }, type });
    const system = '/api/v1/namespaces/kube-system/secrets';
    expect(await attempt('POST', stateSecrets, named(STATE_TYPE))).toBe(201);
    for (const type of ['Opaque', 'bootstrap.kubernetes.io/token', 'k3s.cattle.io/node-password']) {
      const foreign = { ...named(type), metadata: { name: 'foreign' } };
      expect(await gateway('POST', stateSecrets, foreign), type).toMatchObject({
        status: 403,
        object: { message: expect.stringContaining('only in k3s-daas-state') },
      });
    }
    const account = {
      metadata: { name: 'foreign', annotations: { 'kubernetes.io/service-account.name': 'default' } },
    };
    const accountToken = { ...account, type: 'kubernetes.io/service-account-token' };
    expect(await attempt('POST', stateSecrets, accountToken)).toBe(403);
    expect(await attempt('POST', system, named(STATE_TYPE))).toBe(403);
    expect(await attempt('POST', '/api/v1/namespaces/default/secrets', named(STATE_TYPE))).toBe(403);
    // What an administrator has put beside the state is not overwritten either.
    await site.admin('POST', stateSecrets, { metadata: { name: 'operators' }, type: 'Opaque' });
    expect(
      await attempt('PUT', `${stateSecrets}/operators`, { metadata: { name: 'operators' }, type: 'Opaque' }),
    ).toBe(403);
    for (const name of ['head', 'attempt', 'operators'])
      expect(await attempt('DELETE', `${stateSecrets}/${name}`)).toBe(403);
    expect(await attempt('PATCH', `${stateSecrets}/head`, {})).toBe(403);
    const beside = stateLease.replace(/[^/]+$/, '');
    expect(await attempt('POST', beside, { metadata: { name: 'another' } })).toBe(403);
    expect(await attempt('GET', beside)).toBe(403);
    expect(await attempt('DELETE', stateLease)).toBe(403);
    expect(await attempt('PUT', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/x', {})).toBe(
      403,
    );
    for (const kind of ['configmaps', 'serviceaccounts'])
      expect(await attempt('GET', stateSecrets.replace('secrets', kind)), kind).toBe(403);
  });

  test('it is verified while a gateway leads, backed up, and restored when none does', async () => {
    await site.clear();
    const file = join(await mkdtemp(join(tmpdir(), 'kubernetes-state-')), 'keys');
    onTestFinished(() => rm(dirname(file), { recursive: true }));
    await addKey({ file }, systemClock.nowMs());
    const state = { engine: 'kubernetes', keys: { file }, kubernetes: { leaseSeconds: 5 } };
    const place = {
      config: { stateDir: '/nowhere', state: StateConfig.parse(state) },
      clusterId: '0xc1',
      openStateObjects: () => site.objects(),
    };
    const ban = { subject: 'node_id', value: 'worker-1', reason: 'slashed', since: 1, stake_record: null };
    const gateway = await site.open('gateway');
    await leads(gateway);
    const store = createStore(await sealEngine(gateway.engine, await openKeyRing({ file }), '0xc1'));
    const key = '/bans/node_id/worker-1';
    await store.write([{ key, value: ban }]);
    expect(await verifyState(place)).toMatchObject({ bans: 1, isSealed: true });
    const { text } = await backUpState(place, 0);
    expect(text).not.toContain('slashed');
    await expect(
      (await openBackup(place, { text, path: 'backup', nowMs: 0 })).restore(),
    ).rejects.toMatchObject({
      code: 'DAAS_STATE_IN_USE',
      message: expect.stringContaining('gateway'),
    });
    await store.write([{ key, value: undefined }]);
    expect(await verifyState(place)).toMatchObject({ bans: 0 });
    await store[Symbol.asyncDispose]();
    await addKey({ file }, systemClock.nowMs());
    await (await openBackup(place, { text, path: 'backup', nowMs: 0 })).restore();
    expect(await verifyState(place)).toMatchObject({ bans: 1, isSealed: true });
    const otherKeys = { ...place.config.state, keys: {} };
    await expect(
      verifyState({ ...place, config: { ...place.config, state: otherKeys } }),
    ).rejects.toMatchObject({ code: 'DAAS_STATE_SEALED' });
  });

  test('setup --check finds nothing to do, and removal leaves a state that is there', async () => {
    await site.clear();
    const { engine, leadership } = await site.open('gateway');
    await leadership.untilLeading(AbortSignal.timeout(20_000));
    await engine.write(put('1'));
    await engine[Symbol.asyncDispose]();
    const kubeconfig = { path: world.adminKubeconfigPath };
    expect((await setupCluster({ kubeconfig, check: true })).changes).toEqual([]);
    const planned = await removeSetup({ kubeconfig, check: true });
    const ofState = planned.filter(({ what }) => what.includes(STATE_NAMESPACE));
    expect(ofState.map(({ action, what }) => `${action} ${what}`)).toEqual([
      `remove RoleBinding ${STATE_NAMESPACE}/k3s-daas-gateway`,
      `remove Role ${STATE_NAMESPACE}/k3s-daas-gateway`,
      `remove Lease ${STATE_NAMESPACE}/k3s-daas-gateway`,
      `keep Namespace ${STATE_NAMESPACE}`,
    ]);
    await site.clear();
    const withoutState = await removeSetup({ kubeconfig, check: true });
    expect(withoutState.map(({ action, what }) => `${action} ${what}`)).toContain(
      `remove Namespace ${STATE_NAMESPACE}`,
    );
  });

  test('without its Lease no gateway leads, and the error names the fix', async () => {
    await site.clear();
    await site.admin('DELETE', stateLease);
    await expect(site.open('gateway')).rejects.toMatchObject({
      code: 'DAAS_CLUSTER_NOT_SET_UP',
      message: expect.stringContaining('k3s-daas gateway setup'),
    });
  });
});
