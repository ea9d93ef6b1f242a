import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import type { StakedNode, StakedNodeBoard } from '#domain';
import { World } from './world.fixture.ts';

/** The StakedNodes of a cluster in memory. */
class FakeBoard implements StakedNodeBoard {
  readonly nodes = new Map<string, StakedNode>();
  writes = 0;
  isDown = false;
  /** Called once, while a write is under way. */
  during: (() => Promise<void>) | undefined;
  list() {
    return this.#answer(() => [...this.nodes.values()]);
  }
  async write(node: StakedNode) {
    const { during } = this;
    this.during = undefined;
    await during?.();
    return this.#answer(() => {
      this.writes += 1;
      this.nodes.set(node.nodeId, node);
    });
  }
  remove(nodeId: string) {
    return this.#answer(() => void this.nodes.delete(nodeId));
  }
  #answer<T>(act: () => T): Promise<T> {
    if (this.isDown)
      return Promise.reject(new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'away', { isRetryable: true }));
    return Promise.resolve(act());
  }
}

describe('the StakedNodes of a cluster', () => {
  let world: World;
  let board: FakeBoard;
  beforeEach(async () => {
    board = new FakeBoard();
    world = await World.create();
    world.options = { stakedNodes: board };
    await world.startGateway();
  });
  afterEach(() => world[Symbol.asyncDispose]());

  test('show stake, state, tier, end and conditions of each worker, and are written on change alone', async () => {
    const worker = await world.member('worker-1');
    await world.pass(3_000);
    expect(board.nodes.get('worker-1')).toMatchObject({
      spec: { wallet: worker.staker, stakeRecord: worker.recordId, sealToken: worker.tokenId },
      status: {
        stake: expect.stringMatching(/^1000 MIST$/) as string,
        state: 'Member',
        tier: 'basic',
        expires: expect.stringMatching(/^epoch \d+$/) as string,
        conditions: [
          { type: 'Staked', status: 'True', reason: 'StakeGood' },
          { type: 'Admitted', status: 'True', reason: 'Member' },
        ],
      },
    });
    const before = board.writes;
    await world.pass(60_000);
    expect(board.writes).toBe(before);
    world.chain.slash(worker.recordId);
    await world.pass(5_000);
    expect(board.nodes.get('worker-1')?.status).toMatchObject({
      state: 'Evicted',
      conditions: [
        { status: 'False', reason: 'StakeSlashed' },
        { status: 'False', reason: 'Slashed' },
      ],
    });
  });

  test('are written again when their worker changes while they are written', async () => {
    const worker = await world.member('worker-1');
    board.during = async () => {
      world.chain.slash(worker.recordId);
      await world.pass(5_000);
    };
    await world.pass(10_000);
    expect(board.during).toBeUndefined();
    expect(board.nodes.get('worker-1')?.status.state).toBe('Evicted');
  });

  test('that belong to no worker are removed', async () => {
    await world.stopGateway();
    const worker = { wallet: '', stakeRecord: '', sealToken: '' };
    board.nodes.set('nobodys', {
      nodeId: 'nobodys',
      spec: worker,
      status: { stake: '', state: '', tier: '', expires: '', conditions: [] },
    });
    await world.startGateway();
    await world.pass(2_000);
    expect([...board.nodes.keys()]).toEqual([]);
  });

  test('a board that cannot be written harms nothing, and is made up for later', async () => {
    board.isDown = true;
    const worker = await world.member('worker-1');
    await world.pass(3_000);
    expect(await world.kubernetes.node('worker-1')).toMatchObject({ stakeRecordId: worker.recordId });
    const said = world.logged.filter(({ message }) => message.startsWith('StakedNodes'));
    expect(said.map(({ level }) => level)).toEqual(['warn']);
    board.isDown = false;
    await world.pass(31_000);
    expect(board.nodes.get('worker-1')?.status.state).toBe('Member');
  });
});
