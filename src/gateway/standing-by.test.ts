import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { PATHS } from '#api';
import { silentLog } from '#base';
import { FakeClock } from '#testing';
import { answerWithProblems } from './http.ts';
import { isWorkersPath, standBy } from './standing-by.ts';

test('while another gateway leads, workers are sent to it, however they write the path', async () => {
  const app = Fastify();
  answerWithProblems(app, { clock: new FakeClock(), log: silentLog });
  standBy(app, { isActing: () => false, leader: () => 'gateway-2' }, isWorkersPath);
  for (const path of [PATHS.challenge, PATHS.chainProof]) app.get(path, async () => 'answered');
  const ask = async (url: string) => (await app.inject({ method: 'GET', url })).statusCode;
  expect(await ask(`${PATHS.challenge}?node_id=worker-1`)).toBe(503);
  expect(await ask(PATHS.challenge.replace('challenge', '%63hallenge'))).toBe(503);
  expect(await ask(PATHS.chainProof)).toBe(200);
});
