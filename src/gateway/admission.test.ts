import { describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import { settled } from '#testing';
import { STAKER } from './ids.fixture.ts';
import { World } from './world.fixture.ts';

const OTHER = `0x${'52'.repeat(32)}`;

describe('whom the operator admits', () => {
  test.each([
    ['staker_not_admitted', { admit: { stakers: [OTHER] } }],
    ['node_id_not_admitted', { admit: { nodeIdPattern: 'gpu-[0-9]+' } }],
  ] as const)('%s', async (code, change) => {
    await using world = await World.start(change);
    const worker = world.worker('worker-1').stake();
    await using connection = worker.connection();
    expect(await connection.challenge({ nodeId: 'worker-1', staker: STAKER })).toMatchObject({
      admissible: false,
      reason: code,
    });
    await expect(worker.register()).rejects.toMatchObject({
      code: `DAAS_GATEWAY_${code.toUpperCase()}`,
      exitCode: 78,
    });
    expect(world.kubernetes.names.size).toBe(0);
  });

  test('no more than so many, and room again when one has gone', async () => {
    await using world = await World.start({ admit: { maxNodes: 1 } });
    const first = await world.member('worker-1');
    const second = world.worker('worker-2', { staker: OTHER }).stake();
    await expect(second.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CLUSTER_FULL',
      isRetryable: true,
    });
    await first.register();
    world.chain.change(first.recordId, { status: 'unbonding' });
    await settled(60);
    expect((await second.register()).join).toBeDefined();
  });

  test('no more than so many, also when they come at the same moment', async () => {
    await using world = await World.start({ admit: { maxNodes: 2 } });
    const several = [1, 2, 3, 4].map((index) => world.worker(`worker-${index}`).stake());
    await settled();
    const outcomes = await Promise.allSettled(several.map((worker) => worker.register()));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(world.kubernetes.names.size).toBe(2);
  });

  test('a pattern holds for the whole name', async () => {
    await using world = await World.start({ admit: { nodeIdPattern: 'gpu|cpu' } });
    await expect(world.worker('gpu-and-more').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NODE_ID_NOT_ADMITTED',
    });
    expect((await world.worker('gpu').stake().register()).join).toBeDefined();
  });
});

describe('to whom a name belongs', () => {
  test('another staker waits until the first one’s stake has ended and his Node is gone', async () => {
    await using world = await World.start();
    const first = await world.member('worker-1');
    world.kubernetes.before = (method) => {
      if (method === 'deleteNode')
        throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });
    };
    world.chain.change(first.recordId, { status: 'unbonding' });
    await settled(60);
    const second = world.worker('worker-1', { staker: OTHER }).stake();
    await expect(second.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_TAKEN',
      isRetryable: true,
    });
    expect(world.kubernetes.has('worker-1')).toBe(true);
    world.kubernetes.before = undefined;
    await world.pass(5_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await second.comeBack()).join).toBeDefined();
    expect(await second.join()).toEqual({ certificate: 200, node: 201 });
    // What the first one still holds is worth nothing.
    await expect(first.heartbeat()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID',
    });
  });

  test('a password Secret without Node and without reservation is nobody’s and is replaced', async () => {
    await using world = await World.start();
    world.kubernetes.passwords.set('worker-1', { nodeId: 'worker-1', hash: 'claimed', recordId: undefined });
    const worker = world.worker('worker-1').stake();
    await worker.register();
    expect(world.kubernetes.passwords.get('worker-1')?.recordId).toBe(worker.recordId);
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('a Node that carries its record’s mark and password is taken back after the state was lost', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.kubernetes.uidOf('worker-1');
    await world.stopGateway();
    world.config = { ...world.config, stateDir: `${world.config.stateDir}-lost` };
    await world.startGateway();
    await world.pass(3_000);
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
    await expect(worker.heartbeat()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
    await worker.register();
    await worker.heartbeat();
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
    // And is guarded again.
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });
});

describe('a ban', () => {
  test('takes node id, key and the staker’s new names, and leaves his other nodes', async () => {
    await using world = await World.start();
    const bad = await world.member('worker-1');
    const other = await world.member('worker-2');
    world.chain.change(bad.recordId, { status: 'slashed' });
    await settled(60);
    const banned = { code: 'DAAS_GATEWAY_BANNED', exitCode: 77 };
    // A new stake under the same name, by somebody else.
    await expect(world.worker('worker-1', { staker: OTHER }).stake().register()).rejects.toMatchObject(
      banned,
    );
    // The same key under another name, by somebody else.
    await expect(
      world.worker('worker-3', { staker: OTHER, key: bad.key }).stake().register(),
    ).rejects.toMatchObject(banned);
    // A new name of the same staker.
    await expect(world.worker('worker-4').stake().register()).rejects.toMatchObject(banned);
    // What he has is judged by its own facts.
    expect((await other.heartbeat()).directives).toEqual([]);
    expect((await other.register()).incarnation).toBe(2);
  });

  test('holds after a restart', async () => {
    await using world = await World.start();
    const bad = await world.member('worker-1');
    world.chain.change(bad.recordId, { status: 'slashed' });
    await settled(60);
    await world.restartGateway();
    await expect(world.worker('worker-1', { staker: OTHER }).stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });

  test('of a slashed stake that was never admitted spares the key, and a name that is another’s', async () => {
    await using world = await World.start();
    const honest = await world.member('worker-1', { staker: OTHER });
    // Slashed long ago under the same name; its token names the honest node's public key, as anybody's may.
    const old = world.worker('worker-1', { key: honest.key }).stake();
    world.chain.change(old.recordId, { status: 'slashed' });
    await settled();
    await expect(old.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STAKE_SLASHED' });
    expect((await honest.heartbeat()).directives).toEqual([]);
    expect((await honest.register()).incarnation).toBe(2);
    expect(world.kubernetes.has('worker-1')).toBe(true);
    await expect(world.worker('worker-9').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });
});

describe('while the chain is away', () => {
  test('nobody new is admitted, and who was admitted registers again on facts that are not too old', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const newcomer = world.worker('worker-2', { staker: OTHER }).stake({ announce: false });
    world.chain.isDown = true;
    await world.clock.advance(60_000);
    await expect(newcomer.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CHAIN_UNAVAILABLE',
      isRetryable: true,
    });
    const refused = (await world.audit()).filter(({ event }) => event === 'token.refused');
    expect(refused.at(-1)).toMatchObject({
      reason: 'chain_unavailable',
      node_id: 'worker-2',
    });
    expect((await worker.heartbeat()).directives).toEqual([]);
    expect((await worker.register()).join).toBeUndefined();
    await world.clock.advance(16 * 60_000, 10_000);
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CHAIN_UNAVAILABLE',
    });
    // Whatever happens, it runs on.
    expect(world.kubernetes.has('worker-1')).toBe(true);
    expect((await worker.heartbeat()).directives).toEqual([]);
  });

  test('that holds after a restart of the gateway too', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await world.pass(2_000);
    await world.stopGateway();
    world.chain.isDown = true;
    await world.clock.advance(5_000);
    await world.startGateway();
    expect((await worker.heartbeat()).directives).toEqual([]);
    expect((await worker.register()).incarnation).toBe(2);
    expect(world.kubernetes.has('worker-1')).toBe(true);
  });
});
