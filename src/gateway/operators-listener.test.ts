import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { settled } from '#testing';
import { newClientCa } from './client-ca.fixture.ts';
import { type Issued, makeOperatorCa } from './operator-ca.ts';
import { OPERATOR_FILES, operatorOf } from './operator-list.ts';
import { mayCall, ROUTE_ROLES } from './operator-roles.ts';
import { OPERATOR_PATHS } from './operator-wire.ts';
import { OperatorsWorld } from './operators.fixture.ts';

let operators: OperatorsWorld;
let honest: Issued;
beforeAll(async () => {
  operators = await OperatorsWorld.start();
  honest = await operators.issue('honest', 'view');
});
// The budget of handshakes of the one address that all tests share fills up again.
beforeEach(() => operators.world.clock.advance(20_000, 20_000));
// What was refused was not refused for a port that answers nobody.
afterEach(async () => {
  expect(await operators.ask(honest, nodes)).toMatchObject({ status: 200 });
});
afterAll(() => operators?.[Symbol.asyncDispose]());

const nodes = ['GET', OPERATOR_PATHS.nodes] as const;
const evict = ['POST', OPERATOR_PATHS.evict] as const;
/** What a client of Node says when TLS refuses it: with TLS 1.3 after its own handshake is over. */
const refusedByTls = { code: expect.stringMatching(/^(?:ERR_SSL_|ECONNRESET|EPIPE)/) };

/** Every route that the API has, as the framework lists them. */
function routes(): string[] {
  return Object.keys(ROUTE_ROLES);
}

describe('roles', () => {
  test('an operator looks and acts, and the audit line names them', async () => {
    await operators.world.member('worker-1');
    const alice = await operators.issue('alice', 'operate');
    expect(await operators.ask(alice, nodes)).toMatchObject({
      status: 200,
      json: { nodes: [{ node_id: 'worker-1' }] },
    });
    const body = { node_id: 'worker-1', lock: false };
    expect(await operators.ask(alice, evict, { body })).toMatchObject({ status: 200, json: { done: true } });
    await settled(60);
    expect(await operators.world.audit()).toContainEqual(
      expect.objectContaining({ event: 'operator.command', path: '/v1/evict', operator: 'alice' }),
    );
  });

  test('every route has a role, and with `view` nothing is written, however the path is spelled', async () => {
    const bob = await operators.issue('bob', 'view');
    const served = new Set<string>();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const path of new Set(Object.values(OPERATOR_PATHS)))
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const name = path.endsWith('/') ? `${path}:name` : path;
        const asked = path.endsWith('/') ? `${path}worker-1` : path;
        for (const spelled of [asked, asked.replace('v1', '%76%31')]) {
          const body = method === 'POST' ? { node_id: 'worker-1', dry_run: true } : undefined;
          const { status, json } = await operators.ask(bob, [method, spelled], { body, agent });
          if (status === 404 && method !== 'HEAD' && json.code === 'not_found') continue;
          served.add(`${method} ${name}`);
          const isPermitted = mayCall('view', method, name);
          expect([method, spelled, status]).toEqual([
            method,
            spelled,
            isPermitted ? 200 : method === 'HEAD' ? 404 : 403,
          ]);
        }
      }
    agent.destroy();
    const known = [...served].filter((route) => !route.startsWith('HEAD '));
    expect(known.toSorted()).toEqual(routes().toSorted());
    expect(await operators.world.audit()).toContainEqual(
      expect.objectContaining({
        event: 'operator.refused',
        operator: 'bob',
        role: 'view',
        path: '/v1/evict',
      }),
    );
  });

  test('a route that is not in the table nobody may call', () => {
    expect(mayCall('operate', 'POST', '/v1/new')).toBe(false);
    expect(mayCall('operate', 'GET', 'toString')).toBe(false);
  });
});

describe('a certificate', () => {
  test('of none at all', async () => {
    await expect(operators.ask(undefined, nodes)).rejects.toMatchObject(refusedByTls);
  });

  test('of another authority of the same name, on the list with its serial number', async () => {
    const by = await makeOperatorCa(Date.now());
    const forged = await operators.issue('mallory', 'operate', { by });
    await expect(operators.ask(forged, nodes)).rejects.toMatchObject(refusedByTls);
  });

  test('that has expired', async () => {
    const late = await operators.issue('late', 'operate', { expiresInMs: -1_000 });
    await expect(operators.ask(late, nodes)).rejects.toMatchObject(refusedByTls);
  });

  test('of the gateway itself, which is a server’s', async () => {
    const { cert, key } = operators.world.tls;
    await expect(operators.ask({ certificate: cert, key }, nodes)).rejects.toMatchObject(refusedByTls);
  });

  test('of a node of the cluster', async () => {
    const ca = await newClientCa();
    const { certificates, key } = await ca.agentWithKey('worker-1');
    const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const shown = { certificate: certificates[0], key: pem };
    await expect(operators.ask(shown as { certificate: string; key: string }, nodes)).rejects.toMatchObject(
      refusedByTls,
    );
  });

  test('signed by an operator with their own', async () => {
    const alice = await operators.issue('alice', 'operate');
    const below = await operators.issue('mallory', 'operate', { by: alice });
    const certificate = below.certificate + alice.certificate;
    await expect(operators.ask({ ...below, certificate }, nodes)).rejects.toMatchObject(refusedByTls);
  });

  test('that is revoked, at once', async () => {
    const carol = await operators.issue('carol', 'operate');
    expect(await operators.ask(carol, nodes)).toMatchObject({ status: 200 });
    await operators.revoke(carol.serial);
    expect(await operators.ask(carol, nodes)).toMatchObject({
      status: 403,
      json: { code: 'operator_refused', detail: 'the certificate is revoked' },
    });
  });

  test('that the authority has signed and nobody has listed', async () => {
    const ghost = await operators.issue('ghost', 'operate', { isListed: false });
    expect(await operators.ask(ghost, nodes)).toMatchObject({
      status: 403,
      json: { code: 'operator_refused' },
    });
  });

  test('to view, whose entry on the list was changed', async () => {
    const dave = await operators.issue('dave', 'view', { listedRole: 'operate' });
    expect(await operators.ask(dave, nodes)).toMatchObject({
      status: 403,
      json: { code: 'operator_refused' },
    });
  });

  test('that ends while its connection is kept counts no longer', () => {
    const serial = 'ab'.repeat(10);
    const entry = { name: 'erin', role: 'view' as const, serial, issuedAtMs: 0, expiresAtMs: 1_000 };
    const list = { version: 1 as const, operators: [entry] };
    const shown = {
      serialNumber: serial.toUpperCase(),
      subject: 'CN=erin',
      subjectAltName: 'URI:urn:k3s-daas:operator:view',
    };
    expect(operatorOf(shown, list, 999)).toEqual({ name: 'erin', role: 'view' });
    expect(operatorOf(shown, list, 1_000)).toContain('expired');
  });
});

test('a worker’s proof opens nothing, with or without a certificate, and this port has none of its routes', async () => {
  const headers = { 'x-seal-token': 'seal_x' };
  await expect(operators.ask(undefined, nodes, { headers })).rejects.toMatchObject(refusedByTls);
  const bob = await operators.issue('bob', 'view');
  expect(await operators.ask(bob, ['GET', PATHS.challenge], { headers })).toMatchObject({ status: 404 });
});

test('while the list cannot be read nobody is let in', async () => {
  await using other = await OperatorsWorld.start();
  const alice = await other.issue('alice', 'operate');
  await writeFile(join(other.directory, OPERATOR_FILES.list), '{');
  expect(await other.ask(alice, nodes)).toMatchObject({ status: 500, json: { code: 'internal' } });
});

test('an authority that is not there stops the start and says how to make one', async () => {
  await using other = await OperatorsWorld.start();
  await other.world.stopGateway();
  await writeFile(join(other.directory, OPERATOR_FILES.caCert), 'none');
  await expect(other.world.startGateway()).rejects.toMatchObject({
    code: 'DAAS_OPERATOR_CA_UNUSABLE',
    exitCode: 78,
    message: expect.stringContaining('k3s-daas gateway operator init'),
  });
});

test('connections that never shake hands, or show no certificate, keep no operator out and outlast no stop', async () => {
  await using other = await OperatorsWorld.start();
  const alice = await other.issue('alice', 'operate');
  const silent = Array.from({ length: 30 }, () => connectTcp(other.port, '127.0.0.1'));
  const bare = Array.from({ length: 5 }, () =>
    connectTls({ host: '127.0.0.1', port: other.port, rejectUnauthorized: false }),
  );
  const all = [...silent, ...bare];
  for (const socket of all) socket.on('error', () => undefined);
  const gone = Promise.all(all.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  await Promise.all(silent.map(async (socket) => socket.connecting && once(socket, 'connect')));
  expect(await other.ask(alice, nodes)).toMatchObject({ status: 200 });
  await other.world.stopGateway();
  await gone;
});

test('an operator who may only view fills neither audit file nor log with refusals, and is slowed down', async () => {
  await using other = await OperatorsWorld.start();
  const bob = await other.issue('bob', 'view');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const statuses: number[] = [];
  for (let count = 0; count < 250; count += 1)
    statuses.push((await other.ask(bob, evict, { body: {}, agent })).status);
  agent.destroy();
  expect(statuses.slice(0, 200).every((status) => status === 403)).toBe(true);
  expect(statuses.at(-1)).toBe(429);
  const refused = (await other.world.audit()).filter(({ event }) => event === 'operator.refused');
  expect(refused).toHaveLength(1);
  // Another one is served.
  expect(await other.ask(await other.issue('alice', 'operate'), nodes)).toMatchObject({ status: 200 });
});

test('a revoked certificate displaces no connection of the one that took its place', async () => {
  await using other = await OperatorsWorld.start();
  const stolen = await other.issue('alice', 'operate');
  await other.revoke(stolen.serial);
  const alice = await other.issue('alice', 'operate');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  expect(await other.ask(alice, nodes, { agent })).toMatchObject({ status: 200 });
  const [connection] = Object.values(agent.freeSockets).flat();
  const thieves = Array.from({ length: 12 }, () =>
    connectTls({
      host: '127.0.0.1',
      port: other.port,
      rejectUnauthorized: false,
      cert: stolen.certificate,
      key: stolen.key,
    }),
  );
  for (const thief of thieves) thief.on('error', () => undefined);
  await Promise.all(thieves.map((thief) => once(thief, 'secureConnect')));
  expect(await other.ask(stolen, nodes)).toMatchObject({ status: 403 });
  await settled();
  expect(connection?.destroyed).toBe(false);
  for (const thief of thieves) thief.destroy();
  agent.destroy();
});
