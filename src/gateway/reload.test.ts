import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { spkiPin } from '#api';
import { DaasError } from '#base';
import type { StateObjects } from '#domain';
import { addKey } from '#state';
import { CLUSTER_ID } from './ids.fixture.ts';
import { rehearseStart } from './rehearsal.ts';
import { differences } from './reload.ts';
import { makeTls } from './tls.fixture.ts';
import { World } from './world.fixture.ts';

const STRANGERS = { admit: { stakers: [`0x${'77'.repeat(32)}`] } };

const pins = new WeakMap<Socket, string>();

/** One request; which key answered, and on which connection. */
function ask(world: World, agent: Agent) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    pin: string | undefined;
    port: number | undefined;
    headers: Record<string, unknown>;
  }>();
  let port: number | undefined;
  const call = request(`${world.gateway?.publicUrl}/livez`, { agent }, (reply) => {
    const pin = call.socket ? pins.get(call.socket) : undefined;
    reply.resume().once('end', () => resolve({ pin, port, headers: reply.headers }));
  });
  call.once('socket', (socket) => {
    port = socket.localPort;
    socket.once('secureConnect', () => {
      port = socket.localPort;
      const served = (socket as TLSSocket).getPeerX509Certificate();
      pins.set(socket, pinOf(served?.toString() ?? ''));
    });
  });
  call.once('error', reject).end();
  return promise;
}

function readyz(world: World): Promise<{ status: number | undefined; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; text: string }>();
  get(`${world.gateway?.healthUrl}/readyz`, (reply) => {
    let text = '';
    reply.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    reply.once('end', () => resolve({ status: reply.statusCode, text }));
  }).once('error', reject);
  return promise;
}

const pinOf = (cert: string) => Buffer.from(spkiPin(cert)).toString('hex');

test('a reload takes settings over, names those that need a restart, and leaves these as they were', async () => {
  await using world = await World.start();
  const worker = world.worker('worker-1').stake();
  const next = { ...world.config, heartbeatIntervalMs: 77_000, factsGraceMs: 1 };
  const attestation = { ...world.config.admit.attestation, mode: 'require' };
  Object.assign(next, { admit: { ...world.config.admit, ...STRANGERS.admit, attestation } });
  expect(await world.gateway?.reload(next)).toEqual({
    applied: ['gateway.admit.stakers', 'gateway.factsGraceMs'],
    refused: ['gateway.admit.attestation.mode', 'gateway.heartbeatIntervalMs'],
    isNewCertificate: false,
  });
  await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STAKER_NOT_ADMITTED' });
  await world.gateway?.reload({ ...next, admit: world.config.admit });
  expect((await worker.register()).heartbeatIntervalMs).toBe(world.config.heartbeatIntervalMs);
  expect(await world.audit()).toContainEqual(
    expect.objectContaining({
      event: 'gateway.reloaded',
      applied: 'gateway.admit.stakers,gateway.factsGraceMs',
      refused: 'gateway.admit.attestation.mode,gateway.heartbeatIntervalMs',
    }),
  );
});

test('a new certificate is served to new connections, and the kept ones go on', async () => {
  await using world = await World.start();
  const kept = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false, maxCachedSessions: 0 });
  const before = await ask(world, kept);
  const next = await makeTls();
  world.chain.gateways = [{ ...world.entry(), tlsPins: [spkiPin(world.tls.cert), spkiPin(next.cert)] }];
  await writeFile(world.config.tls.certFile, next.cert);
  await writeFile(world.config.tls.keyFile, next.key);
  expect(await world.gateway?.reload(world.config)).toMatchObject({ isNewCertificate: true });
  expect(await ask(world, kept)).toMatchObject({ pin: pinOf(world.tls.cert), port: before.port });
  const fresh = new Agent({ rejectUnauthorized: false, maxCachedSessions: 0 });
  expect(await ask(world, fresh)).toMatchObject({ pin: pinOf(next.cert) });
  expect((await world.gateway?.health())?.find(({ name }) => name === 'port')).toMatchObject({ isOk: true });
  kept.destroy();
});

test('a certificate that the chain does not name, or without its key, is refused, and the old one is served', async () => {
  await using world = await World.start();
  const next = await makeTls();
  const agent = new Agent({ rejectUnauthorized: false, maxCachedSessions: 0 });
  const isOld = async () => expect(await ask(world, agent)).toMatchObject({ pin: pinOf(world.tls.cert) });
  await writeFile(world.config.tls.certFile, next.cert);
  await expect(world.gateway?.reload({ ...world.config, factsGraceMs: 1 })).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_TLS_INVALID',
  });
  await isOld();
  await writeFile(world.config.tls.keyFile, next.key);
  await expect(world.gateway?.reload({ ...world.config, factsGraceMs: 1 })).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_PIN_MISMATCH',
  });
  await isOld();
  await writeFile(world.config.tls.certFile, world.tls.cert);
  await writeFile(world.config.tls.keyFile, world.tls.key);
  expect((await world.gateway?.reload({ ...world.config, factsGraceMs: 1 }))?.applied).toEqual([
    'gateway.factsGraceMs',
  ]);
});

test('while it drains it answers, closes each connection after its reply, and is not ready', async () => {
  await using world = await World.start({ drainMs: 5_000 });
  await world.pass(1_000);
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false, maxCachedSessions: 0 });
  expect((await ask(world, agent)).headers.connection).not.toBe('close');
  const drained = world.gateway?.drain();
  expect((await ask(world, agent)).headers).toMatchObject({ connection: 'close' });
  expect(await readyz(world)).toMatchObject({ status: 503, text: expect.stringContaining('draining') });
  await world.clock.advance(5_000);
  await drained;
  agent.destroy();
});

test('each reply names its request, as the log, the audit file and the worker have it', async () => {
  await using world = await World.start();
  const registered = await world.worker('worker-1').stake().register();
  expect(registered.requestId).toMatch(/\S{8,}/);
  const used = (await world.audit()).filter(({ request_id: id }) => id === registered.requestId);
  expect(used.length).toBeGreaterThan(0);
  expect(world.logged.find(({ fields }) => fields.event === 'worker.registered')?.fields.requestId).toBe(
    registered.requestId,
  );
  expect(
    (await ask(world, new Agent({ rejectUnauthorized: false, maxCachedSessions: 0 }))).headers[
      'x-request-id'
    ],
  ).toMatch(/\S{8,}/);
});

test('a rehearsal names what would prevent a start, each for itself', async () => {
  await using world = await World.create();
  world.chain.gateways = [world.entry()];
  const { config, chain, kubernetes } = world;
  const objects = {
    readLease: () => Promise.reject(new DaasError('DAAS_CLUSTER_NOT_SET_UP', 'there is no Lease')),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  } as unknown as StateObjects;
  const rehearse = (change = {}) =>
    rehearseStart({
      config: { ...config, ...change },
      chain,
      kubernetes,
      signingKey: undefined,
      log: world.log,
      clusterId: CLUSTER_ID,
      openStateObjects: () => objects,
    });
  expect((await rehearse()).every(({ isOk }) => isOk)).toBe(true);
  const state = { ...config.state, keys: { file: `${config.stateDir}/no-keys` } };
  const failing = (await rehearse({ gatewayId: 'other', joinCredential: 'webhook', state })).filter(
    ({ isOk }) => !isOk,
  );
  expect(failing.map(({ name, detail }) => [name, detail.split(':')[0]])).toEqual([
    ['settings', 'DAAS_TOKEN_REVIEW_OFF'],
    ['certificate', 'DAAS_GATEWAY_NOT_ON_CHAIN'],
    ['keys of the state', 'DAAS_STATE_KEYS_INVALID'],
  ]);
  const file = `${world.directory}/keys`;
  await addKey({ file }, 0);
  // A state that gateways share is read; a state file may be in use.
  const shared = await rehearse({ state: { ...config.state, engine: 'kubernetes', keys: { file } } });
  expect(shared.filter(({ isOk }) => !isOk)).toEqual([
    { name: 'state', isOk: false, detail: 'DAAS_CLUSTER_NOT_SET_UP: there is no Lease' },
  ]);
});

test('settings that differ are named by their leaves', () => {
  const before = { a: { b: 1, c: [1] }, d: 'x', e: undefined };
  expect(differences(before, { a: { b: 2, c: [1, 2] }, d: 'x', f: { g: 1 } }, 'gateway')).toEqual([
    'gateway.a.b',
    'gateway.a.c',
    'gateway.f',
  ]);
});
