import { X509Certificate } from 'node:crypto';
import Fastify from 'fastify';
import { FakeClock } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { silentLog } from '#base';
import { type LogRecord, RecordingLog } from '#testing';
import { type EvidenceDesk, registerAttestationRoute } from './attestation-route.ts';
import { answerWithProblems } from './http.ts';
import { createRateLimit } from './rate-limit.ts';
import { testTls } from './tls.fixture.ts';

const NONCE = Buffer.alloc(32, 5).toString('base64url');
const { cert } = await testTls();

function open(evidence: EvidenceDesk | undefined) {
  const clock = new FakeClock();
  const logged: LogRecord[] = [];
  const log = new RecordingLog(logged);
  const app = Fastify();
  const lines = createRateLimit({ ratePerSecond: 1, burst: 1_000 });
  answerWithProblems(app, { clock, log: silentLog, lines });
  const signal = new AbortController().signal;
  registerAttestationRoute(app, { evidence, gatewayId: '0xg', cert: () => cert, clock, log, signal });
  const ask = (nonce = NONCE, remoteAddress = '192.0.2.1') =>
    app.inject({ method: 'GET', url: `/api/v1/attestation?nonce=${nonce}`, remoteAddress });
  return { clock, ask, logged };
}

type Asked = Parameters<EvidenceDesk['make']>[0];

test('evidence is asked for with the key of the public port, the gateway and the nonce of the asker', async () => {
  const asked: Asked[] = [];
  const { ask } = open({
    chainId: 'chain',
    make: async (one) => {
      asked.push(one);
      return { kind: 'tdx' };
    },
  });
  const reply = await ask();
  expect([reply.statusCode, reply.json()]).toEqual([
    200,
    expect.objectContaining({ gateway_id: '0xg', chain_id: 'chain', evidence: { kind: 'tdx' } }),
  ]);
  const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
  expect(asked).toMatchObject([{ gatewayId: '0xg', nonce: Buffer.alloc(32, 5) }]);
  expect(spki.equals(Buffer.from(asked[0]?.spki ?? []))).toBe(true);
});

test('without a provider the gateway says that it makes none, and a nonce of another length is refused', async () => {
  expect((await open(undefined).ask()).json()).toMatchObject({ code: 'attestation_missing', status: 404 });
  const { ask } = open({ chainId: 'chain', make: async () => ({}) });
  for (const nonce of ['', 'short', `${NONCE}A`, '*'.repeat(43)])
    expect((await ask(nonce)).json()).toMatchObject({ code: 'request_invalid' });
});

test('the device is asked one question at a time, and a device that fails tells nobody why', async () => {
  let inWork = 0;
  let most = 0;
  let made = 0;
  const { ask } = open({
    chainId: 'chain',
    make: async () => {
      inWork += 1;
      most = Math.max(most, inWork);
      await new Promise((resolve) => setImmediate(resolve));
      inWork -= 1;
      made += 1;
      if (made === 2) throw new Error('/dev/sev-guest: EIO');
      return {};
    },
  });
  const replies = await Promise.all([ask(), ask(), ask()]);
  expect(most).toBe(1);
  expect(replies.map(({ statusCode }) => statusCode)).toEqual([200, 503, 200]);
  expect(replies[1]?.json()).toMatchObject({ code: 'attestation_unavailable' });
  expect(replies[1]?.body).not.toContain('sev-guest');
});

test('while the device fails one line says so, however often strangers ask', async () => {
  let isFailing = true;
  const make = async () => {
    if (isFailing) throw new Error('EIO');
    return {};
  };
  const { ask, logged } = open({ chainId: 'chain', make });
  for (let count = 0; count < 5; count += 1) await ask();
  expect(logged).toMatchObject([{ level: 'error', fields: { event: 'gateway.evidence-failed' } }]);
  isFailing = false;
  await ask();
  isFailing = true;
  await ask();
  expect(logged).toHaveLength(2);
});

test('an address has few questions, all together a bounded number, and none of them is made in vain', async () => {
  let made = 0;
  const { clock, ask } = open({
    chainId: 'chain',
    make: async () => {
      made += 1;
      return {};
    },
  });
  for (let count = 0; count < 30; count += 1) await ask();
  expect(made).toBe(20);
  for (let host = 2; host < 250; host += 1) await ask(NONCE, `192.0.2.${host}`);
  expect(made).toBe(100);
  await clock.advance(1_000);
  expect((await ask(NONCE, '198.51.100.1')).statusCode).toBe(200);
});
