import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLog, systemClock } from '#base';
import {
  createChainClient,
  createStakeChain,
  decodeObject,
  defaultSettings,
  openNetwork,
  openProofStore,
  operations,
} from '#chain';
import {
  collectProof,
  currentPin,
  formatPin,
  type ProofDocument,
  ProofError,
  type TrustPin,
  verifyProofDocument,
} from '#proof';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';
import { runCommand } from './run-command.ts';

let world: ChainWorld;
let nodes: Parameters<typeof collectProof>[0];
let pin: TrustPin;
let recordId = '';

beforeAll(async () => {
  world = await startChainWorld();
  nodes = await nodesAt(world.url);
  pin = await currentPin(nodes);
  const chain = await world.stakeChain(await world.wallet());
  ({ objectId: recordId } = await chain.stakeForNode({ nodeId: 'worker-1', stakeMist: 2n * SUI }));
});
afterAll(() => world?.[Symbol.asyncDispose]());

async function nodesAt(url: string) {
  const { endpoints } = await openNetwork([url], { clock: systemClock });
  return endpoints;
}

const collect = (objectId = recordId, from = nodes) =>
  collectProof(from, { objectId, pin, chainId: world.deployment.chainId });

function recordIn(document: ProofDocument) {
  const [object] = verifyProofDocument(document, pin).objects;
  return decodeObject(world.deployment.packageId, object?.type ?? '', object?.contents ?? new Uint8Array());
}

describe('a proof from the dev chain', () => {
  test('shows the stake record with what it says, and the event of the stake', async () => {
    const document = await collect();
    expect(recordIn(document)).toMatchObject({ nodeId: 'worker-1', status: 'active', stakeMist: 2n * SUI });
    const { events } = verifyProofDocument(document, pin);
    expect(events.map(({ type }) => type.name)).toEqual(['StakeCreated']);
  });

  test('still holds after several epochs, each with another committee, and shows a slash', async () => {
    for (let epoch = 0; epoch < 3; epoch += 1) world.devnet.advanceEpoch();
    await operations.proposeSlash.execute(world.actor, {
      recordId,
      amountMist: 2n * SUI,
      reason: 'proven misbehaviour',
    });
    const document = await collect();
    expect(document.committees).toHaveLength(3);
    expect(recordIn(document)).toMatchObject({ status: 'slashed', slashReason: 'proven misbehaviour' });
  });

  test('of a chain with the same contracts and another committee is refused', async () => {
    await using other = await startChainWorld();
    const wallet = await other.wallet();
    const chain = await other.stakeChain(wallet);
    const staked = await chain.stakeForNode({ nodeId: 'worker-1', stakeMist: 2n * SUI });
    const otherNodes = await nodesAt(other.url);
    const forged = await collectProof(otherNodes, {
      objectId: staked.objectId,
      pin: await currentPin(otherNodes),
      chainId: world.deployment.chainId,
    });
    expect(() => verifyProofDocument({ ...forged, pin }, pin)).toThrow(ProofError);
    expect(() => verifyProofDocument(forged, pin)).toThrow('another trust pin');
  });
});

const run = (...args: string[]) => runCommand(world.directory, 'proof', ...args);

describe('k3s-daas proof', () => {
  const file = () => join(world.directory, 'proof.json');
  const deployment = () => join(world.directory, 'deployment.json');

  test('pins a chain, writes a proof and checks it without a network', async () => {
    await writeFile(deployment(), JSON.stringify(world.deployment));
    const pinned = await run('pin', '--endpoint', world.url, '--write');
    expect(pinned).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(await readFile(deployment(), 'utf8'))).toHaveProperty('trust');
    const shown = await run('show', recordId, '--endpoint', world.url);
    expect(shown).toMatchObject({ exitCode: 0 });
    await writeFile(file(), shown.stdout);
    const verified = await run('verify', file());
    expect(verified).toMatchObject({ exitCode: 0, stderr: '' });
    expect(verified.stdout).toContain('The proof holds');
    expect(verified.stdout).toMatch(/nodeId +worker-1/);
    const json = await run('verify', file(), '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      objects: [{ id: recordId, facts: { nodeId: 'worker-1' } }],
    });
  });

  test('adds a recent pin beside the one of the cluster’s first epoch, and replaces it', async () => {
    await writeFile(deployment(), JSON.stringify(world.deployment));
    expect(await run('pin', '--endpoint', world.url, '--write', '--recent')).toMatchObject({ exitCode: 78 });
    const written = await run('pin', '--endpoint', world.url, '--write');
    expect(written.stdout).toMatch(/^written as trust: committee:/m);
    const pins = async () => JSON.parse(await readFile(deployment(), 'utf8'));
    const { trust, recentTrust } = await pins();
    expect([trust, recentTrust]).toEqual([pin, await currentPin(nodes)]);
    world.devnet.advanceEpoch();
    const replaced = await run('pin', '--endpoint', world.url, '--write', '--recent', '--json');
    const newest = await currentPin(nodes);
    expect(JSON.parse(replaced.stdout)).toMatchObject({ written: { recentTrust: newest } });
    expect(await pins()).toMatchObject({ trust, recentTrust: newest });
  });

  test('shows what a gateway has kept, without a network, by record, node or transaction', async () => {
    const trust = pin;
    await writeFile(deployment(), JSON.stringify({ ...world.deployment, trust }));
    const path = join(world.directory, 'proofs.db');
    {
      using proofStore = openProofStore(path, world.deployment.chainId);
      const client = createChainClient({
        endpoints: [world.url],
        deployment: { ...world.deployment, trust },
        clock: systemClock,
        proofStore,
      });
      expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'slashed' });
      await client.cluster();
      // Read while the gateway has it open.
      expect(await run('show', recordId, '--from', path)).toMatchObject({ exitCode: 0 });
    }
    const byRecord = await run('show', recordId, '--from', path);
    expect(await run('show', 'worker-1', '--from', path)).toMatchObject({ stdout: byRecord.stdout });
    await writeFile(file(), byRecord.stdout);
    const verified = await run('verify', file(), '--json');
    const { transaction, objects } = JSON.parse(verified.stdout);
    expect(objects).toMatchObject([{ id: recordId, facts: { status: 'slashed' } }]);
    await writeFile(file(), (await run('show', transaction, '--from', path)).stdout);
    expect(JSON.parse((await run('verify', file(), '--json')).stdout).objects).toHaveLength(2);
    expect(await run('show', 'worker-9', '--from', path)).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining('keeps no proof of worker-9'),
    });
    expect(await run('show', recordId, '--from', deployment())).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining('DAAS_PROOF_UNREADABLE'),
    });
  });

  test('shows the newest stake of a node in this cluster, whatever a stranger has staked under its name in another', async () => {
    const trust = pin;
    await writeFile(deployment(), JSON.stringify({ ...world.deployment, trust }));
    const chain = await world.stakeChain(await world.wallet());
    const ours = await chain.stakeForNode({ nodeId: 'worker-1', stakeMist: 2n * SUI });
    const { packageId } = world.deployment;
    const settings = defaultSettings(world.operator.address);
    const { clusterId } = await operations.createCluster.execute(world.publisher, { packageId, settings });
    const stranger = await world.wallet();
    const theirs = { ...world.deployment, clusterId, trust };
    const open = (deployment: typeof theirs, proofStore?: ReturnType<typeof openProofStore>) =>
      createChainClient({
        endpoints: [world.url],
        deployment,
        clock: systemClock,
        ...(proofStore && { proofStore }),
      });
    const strangers = createStakeChain({
      client: open(theirs),
      wallet: stranger,
      journal: await world.journal(stranger),
      log: silentLog,
    });
    const foreign = await strangers.stakeForNode({ nodeId: 'worker-1', stakeMist: 2n * SUI });
    const path = join(world.directory, 'several.db');
    const ids = [ours.objectId, recordId, foreign.objectId];
    {
      using proofStore = openProofStore(path, world.deployment.chainId);
      const client = open({ ...world.deployment, trust }, proofStore);
      // The newest of the node is read first, the stranger's last.
      for (const id of ids) await client.records([id]);
    }
    const ofNode = await run('show', 'worker-1', '--from', path);
    expect(ofNode).toMatchObject({ exitCode: 0 });
    expect(ofNode.stdout).toBe((await run('show', ours.objectId, '--from', path)).stdout);
  });

  test('refuses a file with one changed byte, and one for another pin', async () => {
    const document = JSON.parse(await readFile(file(), 'utf8'));
    const bytes = Buffer.from(document.objects[0], 'base64');
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const tampered = join(world.directory, 'tampered.json');
    await writeFile(tampered, JSON.stringify({ ...document, objects: [bytes.toString('base64')] }));
    const refused = await run('verify', tampered, '--json');
    expect(refused.exitCode).toBe(1);
    expect(JSON.parse(refused.stderr)).toMatchObject({ error: { code: 'DAAS_PROOF_INVALID' } });
    const other = formatPin({ epoch: 7, checkpoint: world.deployment.chainId });
    expect(await run('verify', file(), '--pin', other)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('another trust pin'),
    });
  });

  test('names a pin that is none, and a file that is no proof', async () => {
    expect(await run('verify', file(), '--pin', 'x:y')).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining("not a trust pin: 'x:y' (--pin)"),
    });
    expect(await run('verify', deployment())).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('not a proof file'),
    });
    expect(await run('verify', 'missing.json')).toMatchObject({ exitCode: 78 });
  });
});
