import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { PATHS } from '#api';
import { Secret } from '#base';
import { hashNodePassword, type ProofRequest } from '#seal';
import { settled } from '#testing';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { GATEWAY_ID, id } from './ids.fixture.ts';
import { type RawReply, raw } from './raw-request.fixture.ts';
import { World } from './world.fixture.ts';

export const passwordHash = await hashNodePassword(new Secret('0123456789abcdef0123456789abcdef'));

/** The gateway that the tests of a file share. */
export let world: World;

/** Starts it before the first test of the file, and ends it after the last. */
export function shareWorld(): void {
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    // The budgets of the one address that all tests share fill up again.
    await world.clock.advance(10_000, 10_000);
    world.chain.report();
    await settled(10);
  });
}

export async function challenge(nodeId: string): Promise<string> {
  const url = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=${nodeId}&staker=${id('51')}`;
  return String((await raw(url)).json.nonce);
}

export function registerBody(nodeId: string, change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    node_id: nodeId,
    timestamp: world.clock.nowMs(),
    node_password_hash: passwordHash,
    host: {},
    ...change,
  });
}

export function heartbeatBody(nodeId: string): string {
  return JSON.stringify({
    node_id: nodeId,
    timestamp: world.clock.nowMs(),
    stake_status: 'active',
    stake_amount: '1000',
    agent_state: 'ready',
    running_pods: null,
    resource_usage: { cpu_percent: 0, memory_percent: 0, disk_percent: 0 },
  });
}

/** A registration as the worker would send it, of which anything may be changed. */
export async function proofOf(worker: FakeWorker, change: Partial<ProofRequest> = {}): Promise<string> {
  return worker.signer.sign({
    sealTokenId: worker.tokenId,
    audience: GATEWAY_ID,
    method: 'POST',
    path: PATHS.register,
    body: registerBody(worker.nodeId),
    nowMs: world.clock.nowMs(),
    freshness: { kind: 'nonce', nonce: await challenge(worker.nodeId) },
    ...change,
  });
}

export function post(
  path: string,
  proof: string | undefined,
  body: string,
  headers: Record<string, string> = {},
): Promise<RawReply> {
  return raw(`${world.gateway?.publicUrl}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(proof !== undefined && { 'x-seal-token': proof }),
      ...headers,
    },
    body,
  });
}

/** The one answer to a caller that has not proven anything. Only the log has the reason, under the request's id. */
export async function expectUnproven(reply: RawReply, reason: string): Promise<void> {
  expect(reply.status).toBe(401);
  expect(reply.headers['content-type']).toContain('application/problem+json');
  expect(reply.json).toMatchObject({ code: 'seal_token_invalid', status: 401 });
  expect(reply.body).not.toContain(reason);
  expect(world.logged.find(({ fields }) => fields.requestId === reply.json.request_id)).toMatchObject({
    message: 'Refused a request',
    fields: { reason },
  });
}

export function statuses(replies: readonly RawReply[]): number[] {
  return replies.map(({ status }) => status).sort((left, right) => left - right);
}

export let serial = 0;
export function stranger(): FakeWorker {
  serial += 1;
  return world.worker(`breach-${serial}`);
}
