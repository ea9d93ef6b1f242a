import { X509Certificate } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { systemClock } from '#base';
import type { GatewayConnection } from '#plugin';
import { type Attestor, notAttested, type ShownEvidence } from './attested-keys.ts';
import {
  challenge,
  challengeReply,
  closeAfterEach,
  closing,
  connectorWith,
  connectTo,
  gatewayAt,
  otherTls,
  problem,
  reply,
  type Seen,
  sealTokenId,
  serve,
  timestamp,
  tls,
} from './connector.fixture.ts';
import { spkiPin } from './tls.ts';

closeAfterEach();

const who = { nodeId: 'worker-1', staker: `0x${'1'.repeat(64)}` };
const evidenceReply = {
  gateway_id: 'gateway-1',
  chain_id: 'chain',
  timestamp,
  evidence: { of: 'a machine' },
};
const isQuestion = ({ request }: Seen) => request.url?.startsWith('/api/v1/attestation') === true;

/** Answers the question for evidence as it is told, and everything else as a gateway does. */
function gatewayWith(answer: (seen: Seen, response: ServerResponse) => void) {
  return (seen: Seen, response: ServerResponse) =>
    (isQuestion(seen) ? answer : reply(200, challengeReply))(seen, response);
}

function attestorOf(
  judge: (shown: ShownEvidence) => void | Promise<void> = () => undefined,
  maxAgeMs = 3_600_000,
) {
  const shown: ShownEvidence[] = [];
  const attestor: Attestor = {
    maxAgeMs,
    async judge(one) {
      shown.push(one);
      await judge(one);
    },
  };
  return { attestor, shown };
}

/** A clock of which a test turns the hands. */
function turnedClock() {
  let aheadMs = 0;
  return {
    clock: { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs },
    turn: (ms: number) => {
      aheadMs += ms;
    },
  };
}

const spkiOf = (cert: string) => new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
const questions = (seen: readonly Seen[]) => seen.filter(isQuestion).length;

test('nothing but the question for evidence is sent to a gateway whose evidence is refused', async () => {
  const { url, seen } = await serve(gatewayWith(reply(200, evidenceReply)));
  const { attestor } = attestorOf(({ gateway }) => {
    throw notAttested(gateway, 'measurement-unknown');
  });
  await using connection = connectTo(gatewayAt(url), { attestor });
  await expect(connection.challenge(who)).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_NOT_ATTESTED',
    isRetryable: true,
    message: expect.stringContaining('measurement-unknown') as string,
  });
  expect(seen.every(isQuestion)).toBe(true);
});

test('evidence is judged with the TLS key that the gateway holds and a nonce of this question, once for many requests', async () => {
  const { url, seen } = await serve(gatewayWith(reply(200, evidenceReply)));
  const { attestor, shown } = attestorOf();
  await using connection = connectTo(gatewayAt(url), { attestor });
  await Promise.all([connection.challenge(who), connection.challenge(who)]);
  await connection.challenge(who);
  expect(shown).toHaveLength(1);
  expect(Buffer.from(shown[0]?.spki ?? []).equals(spkiOf(tls.cert))).toBe(true);
  expect(seen[0]?.request.url).toContain(Buffer.from(shown[0]?.nonce ?? []).toString('base64url'));
  expect(shown[0]?.evidence).toEqual({ of: 'a machine' });
  expect(seen.filter((one) => !isQuestion(one))).toHaveLength(3);
});

test.each([
  ['makes none', reply(404, problem('attestation_missing', 404)), 'DAAS_GATEWAY_NOT_ATTESTED'],
  ['answers with something else', reply(200, { evidence: 'trust me' }), 'DAAS_GATEWAY_NOT_ATTESTED'],
  ['is busy', reply(503, problem('attestation_unavailable', 503)), 'DAAS_GATEWAY_EVIDENCE_UNAVAILABLE'],
])('a gateway that %s is left for the next one', async (_what, answer, code) => {
  const { url } = await serve(gatewayWith(answer));
  await using connection = connectTo(gatewayAt(url), { attestor: attestorOf().attestor });
  await expect(connection.challenge(who)).rejects.toMatchObject({ code, isRetryable: true });
});

test('evidence is asked for again after half its life; while it counts, a busy device is no reason to leave', async () => {
  let answer = reply(200, evidenceReply);
  const { url, seen } = await serve(gatewayWith((...args) => answer(...args)));
  const { clock, turn } = turnedClock();
  const { attestor } = attestorOf(undefined, 60_000);
  await using connection = connectTo(gatewayAt(url), { attestor, clock });
  await connection.challenge(who);
  turn(29_000);
  await connection.challenge(who);
  expect(questions(seen)).toBe(1);
  answer = reply(503, problem('attestation_unavailable', 503));
  turn(2_000);
  await connection.challenge(who);
  expect(questions(seen)).toBe(2);
  turn(30_000);
  await expect(connection.challenge(who)).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_EVIDENCE_UNAVAILABLE',
  });
  answer = reply(200, evidenceReply);
  await connection.challenge(who);
});

test('a gateway whose evidence stops verifying is sent nothing more, over a kept connection neither', async () => {
  const { url, seen } = await serve(gatewayWith(reply(200, evidenceReply)));
  const { clock, turn } = turnedClock();
  let isGood = true;
  const { attestor } = attestorOf(({ gateway }) => {
    if (!isGood) throw notAttested(gateway, 'tcb-outdated');
  }, 60_000);
  await using connection = connectTo(gatewayAt(url), { attestor, clock });
  await connection.challenge(who);
  isGood = false;
  turn(31_000);
  for (const _ of [1, 2])
    await expect(connection.challenge(who)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_ATTESTED' });
  expect(seen.filter((one) => !isQuestion(one))).toHaveLength(1);
});

const listening = { challenge, sealTokenId, onOpen: () => undefined, onChange: () => undefined };

test.each([
  ['a request', (connection: GatewayConnection) => connection.challenge(who)],
  [
    'a stream',
    (connection: GatewayConnection) => connection.events?.(listening, new AbortController().signal),
  ],
])(
  'behind one address, a machine with another key is sent nothing until it has shown evidence of its own: %s',
  async (_what, ask) => {
    const first = await serve(gatewayWith(reply(200, evidenceReply, { connection: 'close' })));
    const second = await serve(gatewayWith(reply(200, evidenceReply)), otherTls);
    let target = first.url;
    const balancer = createServer((socket) => {
      const onward = connect(Number(new URL(target).port), '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      for (const one of [socket, onward]) one.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => balancer.listen(0, '127.0.0.1', resolve));
    closing.push(async () => void balancer.close());
    const url = `https://127.0.0.1:${(balancer.address() as AddressInfo).port}`;
    // The first machine answers the question for evidence, the second one everything after.
    const { attestor, shown } = attestorOf(() => {
      target = second.url;
    });
    const pins = [spkiPin(tls.cert), spkiPin(otherTls.cert)];
    await using connection = connectTo(gatewayAt(url, pins), { attestor });
    await ask(connection);
    expect(shown.map(({ spki }) => Buffer.from(spki).equals(spkiOf(tls.cert)))).toEqual([true, false]);
    expect(first.seen.every(isQuestion)).toBe(true);
    expect(second.seen.map(isQuestion)).toEqual([true, false]);
  },
);

test('connections of one connector share what was judged', async () => {
  const { url, seen } = await serve(gatewayWith(reply(200, evidenceReply)));
  const connector = connectorWith({ attestor: attestorOf().attestor });
  for (const _ of [1, 2]) {
    await using connection = connector.connect(gatewayAt(url));
    await connection.challenge(who);
  }
  expect(questions(seen)).toBe(1);
  // The chain names another measurement from now on.
  await using connection = connector.connect({ ...gatewayAt(url), measurement: new Uint8Array([1]) });
  await connection.challenge(who);
  expect(questions(seen)).toBe(2);
});

test('one who gives up waiting does not end the question of the others', async () => {
  const held = Promise.withResolvers<void>();
  const { url } = await serve(
    gatewayWith((...args) => void held.promise.then(() => reply(200, evidenceReply)(...args))),
  );
  await using connection = connectTo(gatewayAt(url), { attestor: attestorOf().attestor });
  const impatient = new AbortController();
  const first = connection.challenge(who, impatient.signal);
  first.catch(() => undefined);
  const second = connection.challenge(who);
  impatient.abort(new Error('enough'));
  await expect(first).rejects.toThrow('enough');
  held.resolve();
  await second;
});

test('without a policy no gateway is asked for evidence', async () => {
  const { url, seen } = await serve(gatewayWith(reply(404, problem('attestation_missing', 404))));
  await using connection = connectTo(gatewayAt(url));
  await connection.challenge(who);
  expect(questions(seen)).toBe(0);
});
