import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Secret } from '#base';
import { bodyDigest, parseProof } from '#seal';
import {
  challenge,
  challengeReply,
  closeAfterEach,
  connectTo,
  gatewayAt,
  heartbeat,
  key,
  registerReply,
  registration,
  reply,
  sealTokenId,
  serve,
  timestamp,
} from './connector.fixture.ts';

closeAfterEach();

describe('what is sent', () => {
  test('a challenge is asked for with node id and wallet', async () => {
    const server = await serve(reply(200, challengeReply));
    await using connection = connectTo(gatewayAt(server.url));
    expect(await connection.challenge({ nodeId: 'worker-1', staker: '0x1' })).toEqual(challenge);
    expect(server.seen[0]?.request.url).toBe('/api/v1/challenge?node_id=worker-1&staker=0x1');
  });

  test('a registration carries a proof over exactly these bytes, in the gateway’s time', async () => {
    const server = await serve(({ request }, response) =>
      request.method === 'GET'
        ? reply(200, challengeReply)({ request, body: '' }, response)
        : reply(200, registerReply)({ request, body: '' }, response),
    );
    await using connection = connectTo(gatewayAt(server.url));
    await connection.challenge({ nodeId: 'worker-1', staker: '0x1' });
    const registered = await connection.register(registration);
    expect(registered).toMatchObject({ incarnation: 4, heartbeatIntervalMs: 10_000, message: 'welcome' });
    expect(registered.join?.token).toBeInstanceOf(Secret);
    // The gateway's clock is years ahead: what it says of a time is told in ours.
    expect(Math.abs((registered.join?.expiresAtMs ?? 0) - Date.now())).toBeLessThan(3_600_000);
    expect(inspect(registered, { depth: 5 })).not.toContain('0123456789abcdef');

    const sent = server.seen[1];
    const outcome = parseProof(String(sent?.request.headers['x-seal-token']));
    if (!outcome.ok || !sent) throw new Error('no proof');
    expect(outcome.proof).toMatchObject({
      audience: 'gateway-1',
      nodeId: 'worker-1',
      tokenId: sealTokenId,
      method: 'POST',
      path: '/api/v1/register-worker',
      nonce: 'n0nce',
      bodyDigest: bodyDigest(sent.body),
      presentedKey: key.publicKey,
    });
    // This machine's clock is years behind the gateway's.
    expect(outcome.proof.issuedAtMs).toBeGreaterThanOrEqual(timestamp);
    expect(outcome.proof.issuedAtMs).toBeLessThan(timestamp + 60_000);
    expect(JSON.parse(sent.body)).toMatchObject({ node_id: 'worker-1', host: { os: 'linux' } });
  });

  test('a heartbeat with readings that are no numbers is still one', async () => {
    const server = await serve(
      reply(200, {
        status: 'acknowledged',
        timestamp,
        message: 'm',
        directives: [{ kind: 'stop', reason: 'slashed' }],
      }),
    );
    await using connection = connectTo(gatewayAt(server.url));
    expect(await connection.heartbeat(heartbeat)).toEqual({
      timestampMs: timestamp,
      message: 'm',
      directives: [{ kind: 'stop', reason: 'slashed' }],
    });
    expect(JSON.parse(server.seen[0]?.body ?? '')).toMatchObject({
      running_pods: null,
      stake_amount: '1000',
      resource_usage: { cpu_percent: 100, memory_percent: 0, disk_percent: 12.3 },
    });
    const outcome = parseProof(String(server.seen[0]?.request.headers['x-seal-token']));
    expect(outcome).toMatchObject({
      ok: true,
      proof: { incarnation: 4, sequence: 7, presentedKey: undefined },
    });
  });
});
