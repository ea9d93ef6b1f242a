import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transaction } from '@mysten/sui/transactions';
import { beforeEach, describe, expect, test } from 'vitest';
import { defaultSettings, operations } from '#chain';
import { setupCluster } from '#cluster';
import {
  admitMallory,
  createdIn,
  expectUnproven,
  forge,
  funded,
  gateway,
  handMadeOf,
  k3s,
  keypairOf,
  mallory,
  malloryBearer,
  newStakeholder,
  secretOf,
  sui,
  victim,
  world,
} from './attack-world.ts';
import { suiteWorld } from './suite-world.ts';
import { admittedNamesOf } from './world/admitted-names.ts';
import { until } from './world/kubernetes.ts';
import {
  askKubeletCertificate,
  bearerOf,
  carryOut,
  createNode,
  newNodeKey,
  register,
  showCertificates,
  stakeAndMint,
} from './world/outsider.ts';
import { SUI } from './world/world.ts';

/** Stakes of other clusters and packages, names of others, and the way back after a slash. */
describe.skipIf(suiteWorld.isMissing)(`attacks by stake on ${suiteWorld.name}`, () => {
  describe('only this cluster’s stakes count', () => {
    test('a look-alike token of another copy of the package', async () => {
      const wallet = await world.chain.wallet(100n);
      const publisher = { endpoints: world.chain.publisher.endpoints, wallet };
      const { packageId } = await operations.publish.execute(publisher, { build: world.chain.build });
      expect(packageId).not.toBe(world.chain.deployment.packageId);
      const { clusterId } = await operations.createCluster.execute(publisher, {
        packageId,
        settings: defaultSettings(wallet.address),
      });
      const { nodeKey, tokenId } = await newStakeholder(victim.nodeId, {
        ...world.chain.deployment,
        packageId,
        clusterId,
      });
      await expectUnproven(await forge({ signer: nodeKey, kid: tokenId }), 'token_not_found');
    });

    test('a token of a cluster that the attacker made himself in the same package', async () => {
      const wallet = await world.chain.wallet(100n);
      const { packageId } = world.chain.deployment;
      const { clusterId } = await operations.createCluster.execute(
        { endpoints: world.chain.publisher.endpoints, wallet },
        { packageId, settings: defaultSettings(wallet.address) },
      );
      const { nodeKey, tokenId } = await newStakeholder(victim.nodeId, {
        ...world.chain.deployment,
        clusterId,
      });
      await expectUnproven(await forge({ signer: nodeKey, kid: tokenId }), 'token_not_found');
    });

    test('a token for kubectl, made from a user’s stake', async () => {
      const { packageId, clusterId } = world.chain.deployment;
      const wallet = await funded();
      const nodeKey = newNodeKey();
      const stake = new Transaction();
      const [coin] = stake.splitCoins(stake.gas, [2n * SUI]);
      if (!coin) throw new Error('no coin was split');
      const record = stake.moveCall({
        target: `${packageId}::staking::stake_for_user`,
        arguments: [stake.object(clusterId), coin, stake.pure.u64(1n), stake.object.clock()],
      });
      stake.moveCall({ target: `${packageId}::staking::share`, arguments: [record] });
      const recordId = createdIn(await carryOut(sui, wallet, stake), 'StakeRecord');
      const mint = new Transaction();
      mint.moveCall({
        target: `${packageId}::k8s_gateway::create_seal_token`,
        arguments: [
          mint.object(clusterId),
          mint.object(recordId),
          mint.pure.vector('string', ['nodes:write']),
          mint.pure.vector('u8', [...nodeKey.publicKey]),
          mint.object.clock(),
        ],
      });
      const tokenId = createdIn(await carryOut(sui, wallet, mint), 'SealToken');
      const answer = await forge({ signer: nodeKey, kid: tokenId });
      expect(answer).toMatchObject({ status: 403, body: { code: 'node_id_mismatch' } });
    });

    test('a second staker for the same node id: the contract refuses him, and no coin moves', async () => {
      const wallet = await funded();
      const rival = stakeAndMint(sui, world.chain.deployment, { nodeId: victim.nodeId, wallet });
      await expect(rival).rejects.toThrow(/ENodeIdTaken|node id/i);
      expect(await world.chain.balance(wallet.toSuiAddress())).toBe(10n * SUI);
    });

    test('a full node of another chain than the configuration names', async () => {
      const worker = await world.worker('misled', {
        config: {
          chain: {
            endpoints: [world.chain.url],
            ...world.chain.deployment,
            // Of no public network: there, consent to any terms is refused before the chain is asked.
            chainId: 'C5M6PdgyhkB36uB1rvvMkZJjbnS3PvjKrv3tpoCzTHFu',
          },
        },
      });
      const { exited, lines } = worker.start();
      expect(await exited).toEqual({ code: 78, signal: null });
      const ended = lines.find(({ event }) => event === 'host.ended');
      expect(ended).toMatchObject({ error: { code: 'DAAS_CHAIN_ID_MISMATCH' } });
      expect(await world.chain.balance(worker.wallet.address)).toBe(100n * SUI);
    });
  });

  describe('a stake takes nobody’s name', () => {
    beforeEach(admitMallory);

    test('the name of a server that was there before', async () => {
      const [before, password] = [await world.node('server'), await secretOf('server')];
      const squatter = await newStakeholder('server');
      expect(await register(gateway, squatter)).toMatchObject({
        status: 409,
        body: { code: 'name_not_ours' },
      });
      expect(await world.node('server')).toEqual(before);
      expect(before).toBeDefined();
      // The real server has a node password of its own, the stand-in's has none: either stays as it was.
      expect(await secretOf('server')).toEqual(password);
    });

    test('a join credential used for a name that is not admitted: k3s gives a certificate, Kubernetes no Node', async () => {
      const claimed = await askKubeletCertificate(
        k3s,
        { bearer: malloryBearer },
        { node: 'nobodys-name', password: 'mine' },
      );
      expect(claimed.status).toBe(200);
      if (!claimed.pair) throw new Error('no certificate');
      expect(await createNode(k3s, claimed.pair, 'nobodys-name')).toMatchObject({
        status: 403,
        body: { message: expect.stringContaining('the node name nobodys-name is not admitted') },
      });
      expect(await world.node('nobodys-name')).toBeUndefined();
    });

    test('a join credential used for an admitted name of somebody else: the supervisor refuses it', async () => {
      const claimed = await askKubeletCertificate(
        k3s,
        { bearer: malloryBearer },
        { node: victim.nodeId, password: mallory.password },
      );
      expect(claimed.status).toBe(403);
      const server = await askKubeletCertificate(
        k3s,
        { bearer: malloryBearer },
        { node: 'server', password: mallory.password },
      );
      // The stand-in's server has no node password of its own; its Node is there, and stays what it is.
      if (server.pair) expect((await createNode(k3s, server.pair, 'server')).status).toBe(409);
    });

    test('the name of an ordinary node that its administrator deleted, and of a server that has no Node', async () => {
      const { kubernetes, k3s: server } = world;
      const made = await kubernetes.send('POST', '/api/v1/nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'ordinary-1' },
      });
      expect(made.status).toBe(201);
      const { changes } = await setupCluster({
        kubeconfig: { path: server.kubeconfig },
        reservedNames: ['server-without-node'],
      });
      expect(changes.map(({ what }) => what).sort()).toEqual([
        'ordinary-1 as ordinary',
        'server-without-node as reserved',
      ]);
      await kubernetes.send('DELETE', '/api/v1/nodes/ordinary-1');
      const listing = async () => (await admittedNamesOf(kubernetes)).get('ordinary-1');
      await until('the name to be reserved', async () =>
        (await listing()) === 'reserved' ? true : undefined,
      );
      for (const node of ['ordinary-1', 'server-without-node']) {
        const squatter = await register(gateway, await newStakeholder(node));
        expect(squatter).toMatchObject({ status: 409, body: { code: 'name_not_ours' } });
        const claimed = await askKubeletCertificate(
          k3s,
          { bearer: malloryBearer },
          { node, password: 'mine' },
        );
        if (!claimed.pair) throw new Error('no certificate');
        const { pair } = claimed;
        expect(await createNode(k3s, pair, node)).toMatchObject({
          status: 403,
          body: { message: expect.stringContaining(`the node name ${node} is reserved by the operator`) },
        });
        expect(await world.node(node)).toBeUndefined();
      }
    });

    test('a worker’s own certificate creates a Node before it was shown, of another name, or without its taint', async () => {
      const { pair } = await askKubeletCertificate(
        k3s,
        { bearer: malloryBearer },
        { node: mallory.nodeId, password: mallory.password },
      );
      if (!pair) throw new Error('no certificate');
      expect(await createNode(k3s, pair, mallory.nodeId)).toMatchObject({
        status: 403,
        body: { message: expect.stringContaining('k3s-daas/not-vouched') },
      });
      // Whoever has the node's key may show it; somebody else's certificate the gateway refuses.
      expect((await showCertificates(gateway, victim, [pair.cert])).body.code).toBe('certificate_refused');
      expect((await showCertificates(gateway, mallory, [pair.cert])).status).toBe(200);
      expect((await createNode(k3s, pair, victim.nodeId)).status).toBe(403);
      expect(await createNode(k3s, pair, mallory.nodeId, 'no-such-tier')).toMatchObject({
        status: 403,
        body: { message: expect.stringContaining('taint') },
      });
      expect(await world.node(mallory.nodeId)).toBeUndefined();
    });
  });

  describe('after a slash there is no way back', () => {
    test('a slashed worker’s old certificate, node key, token and wallet bring nothing back', async () => {
      const worker = await world.worker('culprit');
      const host = worker.start();
      const { recordId } = (await host.event('stake.created')) as { recordId?: string };
      const { tokenId } = (await host.event('seal.minted')) as { tokenId?: string };
      if (!recordId || !tokenId) throw new Error('a stake and a token were to be told');
      await world.nodeReady(worker.nodeId);
      const file = (name: string) => readFile(join(worker.dataDir, 'agent', name), 'utf8');
      const pair = { cert: await file('client-kubelet.crt'), key: await file('client-kubelet.key') };
      const password = (await file('etc/rancher/node/password')).trim();
      const bearer = bearerOf((await readFile(worker.tokenFile, 'utf8')).trim());

      await world.slash(recordId, 2n * SUI, 'double signing');
      expect((await host.exited).code).toBe(77);
      await world.nodeGone(worker.nodeId);

      // Its certificate, straight at the server, with the taint that its tier needs.
      expect(await createNode(k3s, pair, worker.nodeId)).toMatchObject({
        status: 403,
        body: { message: expect.stringContaining(`the node name ${worker.nodeId} is not admitted`) },
      });
      expect((await askKubeletCertificate(k3s, { pair }, { node: worker.nodeId, password })).status).toBe(
        401,
      );
      // Its join credential, which died when it was used, and its password with it.
      await until('the credential to be revoked', async () => {
        const { status } = await askKubeletCertificate(k3s, { bearer }, { node: worker.nodeId, password });
        return status === 401 ? true : undefined;
      });
      // Its node key, at the gateway.
      const nodeKey = handMadeOf(await readFile(join(worker.stateDir, 'node.key'), 'utf8'));
      const wallet = await keypairOf(worker);
      const { nodeId } = worker;
      const answer = await register(gateway, { ...victim, nodeId, wallet, nodeKey, recordId, tokenId });
      expect(answer.status).toBe(403);
      expect(['stake_slashed', 'banned']).toContain(answer.body.code);
      // The host itself, started again.
      expect((await worker.start().exited).code).toBe(77);
      expect(await world.node(worker.nodeId)).toBeUndefined();
      // His wallet, with new money, for a new name and for the old one.
      for (const name of ['culprit-reborn', nodeId]) {
        const reborn = await stakeAndMint(sui, world.chain.deployment, { nodeId: name, wallet });
        expect(await register(gateway, reborn), name).toMatchObject({
          status: 403,
          body: { code: 'banned' },
        });
        expect(await world.node(name)).toBeUndefined();
      }
    });
  });
});
