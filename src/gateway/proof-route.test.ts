import Fastify from 'fastify';
import { FakeClock } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { DaasError, silentLog } from '#base';
import { answerWithProblems } from './http.ts';
import { type ProofTaker, registerProofRoute } from './proof-route.ts';
import { createRateLimit } from './rate-limit.ts';

const PATH = '/api/v1/chain-proof';

function open(takeProof: ProofTaker | undefined) {
  const clock = new FakeClock();
  const app = Fastify();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  const lines = createRateLimit({ ratePerSecond: 1, burst: 1_000 });
  answerWithProblems(app, { clock, log: silentLog, lines });
  registerProofRoute(app, { takeProof, clock });
  const push = (payload: string, remoteAddress = '192.0.2.1') =>
    app.inject({
      method: 'POST',
      url: PATH,
      headers: { 'content-type': 'application/json' },
      payload,
      remoteAddress,
    });
  return { clock, push };
}

test('a proof that anybody brings is taken, and the reply names what was new', async () => {
  const { push } = open(async (text) => (text === '{"new":1}' ? ['0xa'] : []));
  expect((await push('{"new":1}')).json()).toMatchObject({ status: 'accepted', objects: ['0xa'] });
  expect((await push('{}')).json()).toMatchObject({ status: 'known', objects: [] });
});

test('what is no proof is refused with the broken link, and a chain that is away is no fault of the bearer', async () => {
  const { push } = open(async (text) => {
    throw new DaasError('DAAS_PROOF_INVALID', `no quorum: ${text}`, { isRetryable: text === '"away"' });
  });
  const refused = await push('"forged"');
  expect([refused.statusCode, refused.json()]).toEqual([
    400,
    expect.objectContaining({ code: 'request_invalid', detail: expect.stringContaining('no quorum') }),
  ]);
  expect((await push('"away"')).statusCode).toBeGreaterThanOrEqual(500);
});

test('one address, and all together, may cost so many verifications; a body is not read before', async () => {
  let verified = 0;
  const { clock, push } = open(async () => {
    verified += 1;
    return [];
  });
  const replies = await Promise.all(Array.from({ length: 10 }, () => push('{}')));
  expect(replies.filter(({ statusCode }) => statusCode === 429)).toHaveLength(6);
  for (let host = 2; host < 100; host += 1) await push('{}', `192.0.2.${host}`);
  expect(verified).toBe(20);
  await clock.advance(5_000);
  expect((await push('{}')).statusCode).toBe(200);
});

test('a few addresses that bring what shows nothing new do not take the budget of all; one that brings news has its own', async () => {
  let verified = 0;
  const { clock, push } = open(async (text) => {
    verified += 1;
    if (text === '{"forged":1}') throw new DaasError('DAAS_PROOF_INVALID', 'no quorum');
    return text === '{"new":1}' ? ['0xa'] : [];
  });
  for (let round = 0; round < 60; round += 1) {
    await clock.advance(10_000);
    for (let host = 1; host <= 10; host += 1)
      await push(host % 2 === 0 ? '{}' : '{"forged":1}', `192.0.2.${host}`);
    expect((await push('{"new":1}', '198.51.100.1')).json()).toMatchObject({ status: 'accepted' });
  }
  // Six at first, and one in ten minutes.
  expect(verified - 60).toBeLessThanOrEqual(70);
  expect((await push('{}', '192.0.2.1')).headers['retry-after']).toBeDefined();
});

test('a gateway that proves nothing has no such route', async () => {
  expect((await open(undefined).push('{}')).statusCode).toBe(404);
});
