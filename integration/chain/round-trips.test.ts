import { describe, expect, test } from 'vitest';
import { systemClock } from '#base';
import { createChainClient, operations, verifyPublished } from '#chain';
import { SUI } from './chain-world.ts';
import { anotherCluster, holderKey, nextNode, staked, world } from './open-chain.ts';

describe('publishing', () => {
  test('an immutable package has no upgrade cap, an upgradable one has', async () => {
    const { upgradeCapId } = await operations.publish.execute(world.publisher, {
      build: world.build,
      isUpgradable: true,
    });
    expect(upgradeCapId).toMatch(/^0x[0-9a-f]{64}$/);
    const again = await operations.publish.execute(world.publisher, { build: world.build });
    expect(again.upgradeCapId).toBeUndefined();
  });

  test('a package that is not the build is named module by module', async () => {
    const other = {
      ...world.build,
      modules: { ...world.build.modules, staking: world.build.modules.slashing ?? '' },
    };
    await expect(
      verifyPublished(world.publisher.endpoints, world.deployment.packageId, other),
    ).rejects.toMatchObject({ code: 'DAAS_BYTECODE_DIFFERS', details: { modules: ['staking'] } });
  });
});

describe('the deployment', () => {
  const clientOf = (change: Partial<typeof world.deployment>) =>
    createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, ...change },
      clock: systemClock,
    });

  test('is verified as a whole', async () => {
    await expect(clientOf({}).verify()).resolves.toBeUndefined();
  });

  test.each([
    ['chainId', 78, '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S', 'DAAS_CHAIN_ID_MISMATCH'],
    ['packageId', 75, `0x${'9'.repeat(64)}`, 'DAAS_PACKAGE_UNKNOWN'],
    ['clusterId', 75, `0x${'9'.repeat(64)}`, 'DAAS_CLUSTER_UNKNOWN'],
  ])('with a wrong %s ends with exit code %i and its name', async (member, exitCode, value, code) => {
    await expect(clientOf({ [member]: value }).verify()).rejects.toMatchObject({ code, exitCode });
  });

  test('with another object as cluster says what that is', async () => {
    const { recordId } = await staked();
    await expect(clientOf({ clusterId: recordId }).verify()).rejects.toMatchObject({
      code: 'DAAS_CLUSTER_UNKNOWN',
      message: expect.stringContaining('staking::StakeRecord'),
    });
  });
});

describe('stake and token', () => {
  test('are read as they were made', async () => {
    const { wallet, chain, nodeId, recordId } = await staked();
    const key = holderKey();
    const minted = await chain.createWorkerSealToken({ recordId, holderKey: key });
    const record = (await chain.records([recordId])).get(recordId);
    expect(record).toMatchObject({
      cluster: world.deployment.clusterId,
      staker: wallet.address,
      nodeId,
      stakeMist: 2n * SUI,
      status: 'active',
      stakeType: 'node',
      token: minted.objectId,
    });
    const token = (await chain.tokens([minted.objectId])).get(minted.objectId);
    expect(token).toMatchObject({ owner: wallet.address, stakeId: recordId, nodeId, sequence: 1n });
    expect(Buffer.from(token?.holderKey ?? [])).toEqual(Buffer.from(key));
    expect(token?.permissions).toEqual(['nodes:write', 'pods:write']);
    expect(await chain.liveRecordOf(nodeId)).toBe(recordId);
    expect(await chain.liveRecordOf('nobody')).toBeUndefined();
    expect((await chain.point()).timestampMs).toBeGreaterThan(0);
  });

  test('of one transaction keep their receipt while the record names the token', async () => {
    const chain = await world.stakeChain(await world.wallet());
    const key = holderKey();
    const joined = await chain.join({ nodeId: nextNode(), stakeMist: 2n * SUI, holderKey: key });
    const record = (await chain.records([joined.objectId])).get(joined.objectId);
    if (!record) throw new Error('the record is not there');
    expect(record.token).toBe(joined.tokenId);
    expect(await chain.receiptOf(record, key)).toEqual(joined);
    const { tokenId: _tokenId, ...made } = joined;
    expect(await chain.receiptOf({ ...record, token: undefined }, key)).toEqual(made);
    expect(await chain.receiptOf({ ...record, token: joined.objectId }, key)).toEqual(made);
  });

  test('asked for twice are made once', async () => {
    const { wallet, chain, nodeId, recordId, digest } = await staked();
    const key = holderKey();
    const minted = await chain.createWorkerSealToken({ recordId, holderKey: key });
    const before = await world.balance(wallet.address);
    expect(await chain.stakeForNode({ nodeId, stakeMist: 2n * SUI })).toEqual({ objectId: recordId, digest });
    expect(await chain.createWorkerSealToken({ recordId, holderKey: key })).toEqual(minted);
    expect(await world.balance(wallet.address)).toBe(before);
  });

  test('of somebody else are refused before anything is paid', async () => {
    const { nodeId, recordId } = await staked();
    const stranger = await world.wallet();
    const chain = await world.stakeChain(stranger);
    await expect(chain.stakeForNode({ nodeId, stakeMist: 2n * SUI })).rejects.toMatchObject({
      code: 'DAAS_NODE_ID_TAKEN',
      exitCode: 78,
    });
    await expect(chain.createWorkerSealToken({ recordId, holderKey: holderKey() })).rejects.toMatchObject({
      code: 'DAAS_STAKE_NOT_OURS',
    });
    expect(await world.balance(stranger.address)).toBe(100n * SUI);
  });

  test('a second token for another key is refused by name', async () => {
    const { chain, recordId } = await staked();
    await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
    await expect(chain.createWorkerSealToken({ recordId, holderKey: holderKey() })).rejects.toMatchObject({
      code: 'DAAS_TOKEN_EXISTS',
    });
  });

  test.each([
    ['Worker', 'DAAS_NODE_ID_INVALID'],
    ['', 'DAAS_NODE_ID_INVALID'],
    ['a.b', 'DAAS_NODE_ID_INVALID'],
    ['a-', 'DAAS_NODE_ID_INVALID'],
    ['a'.repeat(64), 'DAAS_NODE_ID_INVALID'],
  ])('the node id %j is refused by the contract', async (nodeId, code) => {
    const chain = await world.stakeChain(await world.wallet(2n));
    await expect(chain.stakeForNode({ nodeId, stakeMist: SUI })).rejects.toMatchObject({
      code,
      exitCode: 78,
    });
  });

  test('too little stake is refused by the contract, too little money with both amounts', async () => {
    const chain = await world.stakeChain(await world.wallet(5n));
    await expect(chain.stakeForNode({ nodeId: nextNode(), stakeMist: SUI - 1n })).rejects.toMatchObject({
      code: 'DAAS_STAKE_TOO_LOW',
      details: { constant: 'EStakeBelowMinimum' },
    });
    await expect(chain.stakeForNode({ nodeId: nextNode(), stakeMist: 5n * SUI })).rejects.toMatchObject({
      code: 'DAAS_BALANCE_TOO_LOW',
      details: { availableMist: 5n * SUI, neededMist: 5n * SUI + 50_000_000n },
    });
    const empty = await world.stakeChain(await world.wallet(0n));
    await expect(empty.stakeForNode({ nodeId: nextNode(), stakeMist: SUI })).rejects.toMatchObject({
      code: 'DAAS_BALANCE_TOO_LOW',
      details: { availableMist: 0n },
    });
  });

  test('a node key of 31 bytes is refused', async () => {
    const { chain, recordId } = await staked();
    await expect(
      chain.createWorkerSealToken({ recordId, holderKey: new Uint8Array(31) }),
    ).rejects.toMatchObject({ code: 'DAAS_HOLDER_KEY_INVALID' });
  });

  test('several coins pay for one stake when no single one is enough', async () => {
    const wallet = await world.wallet(3n);
    await world.devnet.faucet(wallet.address, 3n * SUI);
    await world.devnet.faucet(wallet.address, 3n * SUI);
    const chain = await world.stakeChain(wallet);
    const { objectId } = await chain.stakeForNode({ nodeId: nextNode(), stakeMist: 8n * SUI });
    expect((await chain.records([objectId])).get(objectId)?.stakeMist).toBe(8n * SUI);
  });
});

describe('what is not of this cluster', () => {
  test('does not exist: records and tokens of another cluster, another package, other objects, nothing', async () => {
    const { chain, recordId } = await staked();
    const { objectId: tokenId } = await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
    const inOtherCluster = await anotherCluster();
    expect((await inOtherCluster.records([recordId])).get(recordId)).toBeUndefined();
    expect((await inOtherCluster.tokens([tokenId])).get(tokenId)).toBeUndefined();
    const lookAlike = await operations.publish.execute(world.publisher, { build: world.build });
    const inOtherPackage = createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, packageId: lookAlike.packageId },
      clock: systemClock,
    });
    expect((await inOtherPackage.tokens([tokenId])).get(tokenId)).toBeUndefined();
    expect((await chain.tokens([recordId])).get(recordId)).toBeUndefined();
    expect((await chain.records([tokenId, '0x6'])).get('0x6')).toBeUndefined();
    const nothing = `0x${'8'.repeat(64)}`;
    expect((await chain.records([nothing])).get(nothing)).toBeUndefined();
  });
});

describe('gateways', () => {
  const gateway = (url: string) => ({
    url,
    tlsPins: [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32).fill(3),
    tier: 'standard' as const,
  });

  test('are registered, drained and retired', async () => {
    const { gatewayId } = await operations.addGateway.execute(
      world.actor,
      gateway('https://gw.example:8443'),
    );
    const find = async () => (await world.client.cluster()).gateways.find(({ id }) => id === gatewayId);
    expect(await find()).toMatchObject({ url: 'https://gw.example:8443', isLive: true, tier: 'standard' });
    expect((await find())?.tlsPins.map((pin) => pin[0])).toEqual([1, 2]);
    await operations.setGatewayStatus.execute(world.actor, { gatewayId, status: 'draining' });
    expect((await find())?.isLive).toBe(false);
    await operations.setGatewayStatus.execute(world.actor, { gatewayId, status: 'retired' });
    expect(await find()).toBeUndefined();
  });

  test('what the contract would refuse is refused by name before anything is paid', async () => {
    const before = await world.balance(world.operator.address);
    await expect(
      operations.addGateway.execute(world.actor, gateway('http://plain.example')),
    ).rejects.toMatchObject({
      code: 'DAAS_CHAIN_ABORT',
      details: { module: 'cluster', constant: 'EEndpoint' },
      message: expect.stringContaining('give the gateway an https:// URL'),
      exitCode: 78,
    });
    expect(await world.balance(world.operator.address)).toBe(before);
    const stranger = await world.wallet();
    await expect(
      operations.addGateway.execute({ ...world.actor, wallet: stranger }, gateway('https://gw.example')),
    ).rejects.toMatchObject({ details: { constant: 'ENotAdmin' } });
  });
});
