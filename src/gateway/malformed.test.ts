import { afterAll, beforeAll, expect, test } from 'vitest';
import { PATHS } from '#api';
import { DaasError, Secret } from '#base';
import type { HeartbeatReply } from '#plugin';
import { hashNodePassword } from '#seal';
import { seededRandom } from '#testing';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { GATEWAY_ID, STAKER } from './ids.fixture.ts';
import { type Malformed, type MalformedOptions, malformedRequest } from './malformed.fixture.ts';
import { clientHello, Lane } from './malformed-wire.fixture.ts';
import { raw } from './raw-request.fixture.ts';
import { World } from './world.fixture.ts';

/** Another number, or another seed: K3S_DAAS_TEST_MALFORMED=100000,7. The long run is bench/malformed.ts. */
const [count = 2_000, seed = 20_261_129] = (process.env.K3S_DAAS_TEST_MALFORMED ?? '')
  .split(',')
  .filter(Boolean)
  .map(Number);
const lanes = 16;

let world: World;
let honest: FakeWorker;
let culprit: FakeWorker;
beforeAll(async () => {
  const much = { Rate: 1e6, Burst: 1e6 };
  const names = ['address', 'addressHandshake', 'handshake', 'node', 'token', 'stranger', 'lookup'];
  const limits = Object.fromEntries(
    names.flatMap((name) => Object.entries(much).map(([end, value]) => [`${name}${end}`, value])),
  );
  // What comes from one address would be refused before it is read.
  world = await World.start({ limits: { ...limits, inFlight: 1e5, addressInFlight: 1e5, loopDelayMs: 1e6 } });
  honest = await world.member('honest');
  culprit = await world.member('culprit');
}, 120_000);
afterAll(() => world[Symbol.asyncDispose]());

async function optionsFor(random: () => number): Promise<MalformedOptions> {
  const nonces: string[] = [];
  const fetchNonces = async () => {
    const url = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=culprit&staker=${STAKER}`;
    nonces.push(String((await raw(url)).json.nonce));
  };
  await fetchNonces();
  let sequence = culprit.sequence;
  return {
    random,
    culprit: { nodeId: 'culprit', tokenId: culprit.tokenId, staker: STAKER, signer: culprit.signer },
    audience: GATEWAY_ID,
    passwordHash: await hashNodePassword(new Secret('0123456789abcdef0123456789abcdef')),
    nowMs: () => world.clock.nowMs(),
    nonce: () => {
      const nonce = nonces.pop();
      if (nonces.length < 2) fetchNonces().catch(() => undefined);
      return nonce;
    },
    incarnation: culprit.registration?.incarnation ?? 1,
    sequence: () => (sequence += 1),
    clientHello: await clientHello(),
  };
}

/** Gateway and lanes share one thread: on a busy machine an answer may come too late for the host, which then asks again. */
async function beat(): Promise<HeartbeatReply> {
  for (;;) {
    try {
      return await honest.heartbeat();
    } catch (error) {
      if (!(error instanceof DaasError) || error.code !== 'DAAS_GATEWAY_TIMEOUT') throw error;
    }
  }
}

test(`${count} malformed requests: no crash, no 5xx, and honest heartbeats beside them count`, async () => {
  const random = seededRandom(seed);
  const options = await optionsFor(random);
  const wrong: Array<{ kind: string; statuses: readonly number[]; text: string }> = [];
  const met = new Map<number, number>();
  let sent = 0;
  const lane = async (): Promise<void> => {
    using own = new Lane(Number(new URL(world.gateway?.publicUrl ?? '').port));
    while (sent < count) {
      sent += 1;
      const isTurn = sent % 250 === 0;
      const request: Malformed = await malformedRequest(options);
      const { statuses } = await own.send(request);
      for (const status of statuses) met.set(status, (met.get(status) ?? 0) + 1);
      if (statuses.some((status) => status >= 500))
        wrong.push({
          kind: request.kind,
          statuses,
          text: Buffer.concat([...request.pieces])
            .toString('latin1')
            .slice(0, 600),
        });
      if (isTurn) {
        world.chain.report();
        await world.clock.advance(1_000);
        await beat();
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  expect(wrong).toEqual([]);
  expect(world.logged.filter(({ message }) => message === 'A request has failed')).toEqual([]);
  expect((await beat()).directives).toEqual([]);
  // It came through to what lies behind framing and proof.
  expect([...met.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 404, 405, 413, 415]));
}, 600_000);
