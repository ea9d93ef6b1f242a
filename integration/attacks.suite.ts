import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { CompactSign } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCluster, defaultSettings, publishPackage } from '#chain';
import { setupCluster } from '#cluster';
import { until } from './world/kubernetes.ts';
import {
  ask,
  askKubeletCertificate,
  bearerOf,
  carryOut,
  chainClient,
  challenge,
  createNode,
  type HandMadeKey,
  HEARTBEAT,
  type HttpAnswer,
  heartbeatBody,
  honestClaims,
  type KnownGateway,
  newNodeKey,
  post,
  REGISTER,
  register,
  registerBody,
  type Stakeholder,
  signProof,
  stakeAndMint,
} from './world/outsider.ts';
import { SUI, type Worker, World, type WorldOptions } from './world/world.ts';

/**
 * Every attack comes from outside, with plain tools (integration/world/outsider.ts) at the real gateway, chain and server.
 * Whoever has not proven his key learns nothing but a request id; the gateway's log has the reason.
 */
export function describeAttacks(where: Pick<WorldOptions, 'startK3s'> = {}): void {
  let world: World;
  let sui: SuiGrpcClient;
  let gateway: KnownGateway;
  let k3s: { server: string; ca: string };
  let gatewayLog: string;
  /** Admitted, and hand-made: nobody runs it. */
  let victim: Stakeholder;
  /** Staked and honest so far; its credential is for its own name. */
  let mallory: Stakeholder;
  let malloryBearer: string;

  beforeAll(async () => {
    // Budgets would stop most of this early; that they do is shown beside them (src/gateway).
    world = await World.start({
      ...where,
      gateway: {
        limits: {
          addressRate: 10_000,
          addressBurst: 10_000,
          strangerRate: 1000,
          strangerBurst: 1000,
          tokenRate: 1000,
          tokenBurst: 1000,
        },
      },
    });
    sui = chainClient(world.chain.url);
    gateway = { url: world.gatewayUrl, id: world.gatewayId, ca: await readFile(world.gatewayCaFile, 'utf8') };
    k3s = { server: world.k3s.server, ca: await readFile(world.k3s.serverCaFile, 'utf8') };
    gatewayLog = join(world.directory, 'gateway.log');
    victim = await newStakeholder('victim');
    mallory = await newStakeholder('mallory');
    expect((await register(gateway, victim)).status).toBe(200);
    const admitted = await register(gateway, mallory);
    malloryBearer = bearerOf(admitted.body.join.token);
  });
  afterAll(() => world?.close());

  async function funded(): Promise<Ed25519Keypair> {
    const wallet = Ed25519Keypair.generate();
    await world.chain.devnet.faucet(wallet.toSuiAddress(), 10n * SUI);
    return wallet;
  }

  const newStakeholder = async (nodeId: string, contract = world.chain.deployment) =>
    stakeAndMint(sui, contract, { nodeId, wallet: await funded() });

  /** Refused without a word why; the gateway's log names the reason under the request id. */
  async function expectUnproven(answer: HttpAnswer, reason: string): Promise<void> {
    expect(answer).toMatchObject({ status: 401, body: { code: 'seal_token_invalid' } });
    expect(answer.text).not.toContain(reason);
    await expect.poll(() => loggedReason(answer)).toBe(reason);
  }

  async function loggedReason({ body }: HttpAnswer): Promise<unknown> {
    const lines = (await readFile(gatewayLog, 'utf8')).trimEnd().split('\n');
    const line = lines.find((text) => text.includes(`"requestId":"${body.request_id}"`));
    return line === undefined ? undefined : JSON.parse(line).reason;
  }

  interface Tampering {
    readonly signer?: HandMadeKey;
    readonly kid?: string;
    readonly claims?: Readonly<Record<string, unknown>>;
    readonly header?: Readonly<Record<string, unknown>>;
    /** What is sent instead of what was signed. */
    readonly body?: string;
  }

  /** The victim's own registration, with something wrong about it. */
  async function forge({ signer = victim.nodeKey, kid = victim.tokenId, claims, header, body }: Tampering) {
    const nonce = await challenge(gateway, victim);
    const honest = registerBody(victim);
    const proof = await signProof({
      signer,
      kid,
      claims: { ...honestClaims(gateway, victim.nodeId, { path: REGISTER, body: honest }), nonce, ...claims },
      ...(header && { header }),
    });
    return post(gateway, REGISTER, { proof, body: body ?? honest });
  }

  describe('what is public on chain opens nothing', () => {
    test.each(['x-seal-token', 'authorization'])('the token hash as %s', async (name) => {
      const { tokenHash } = victim;
      expect(tokenHash).toMatch(/^seal_[0-9a-f]{32}$/);
      const headers = { [name]: name === 'authorization' ? `Bearer ${tokenHash}` : tokenHash };
      for (const path of [REGISTER, HEARTBEAT])
        await expectUnproven(
          await post(gateway, path, { body: registerBody(victim), headers }),
          'proof_malformed',
        );
    });

    test.each(['mock_seal_x', 'seal_mock', 'seal_'])('%s, as header and as bearer', async (mock) => {
      const body = registerBody(victim);
      await expectUnproven(await post(gateway, REGISTER, { body, proof: mock }), 'proof_malformed');
      const headers = { authorization: `Bearer ${mock}` };
      await expectUnproven(await post(gateway, REGISTER, { body, headers }), 'proof_malformed');
    });

    test('the token’s object id, its record’s id, nothing at all', async () => {
      const body = registerBody(victim);
      await expectUnproven(await post(gateway, REGISTER, { body, proof: victim.tokenId }), 'proof_malformed');
      await expectUnproven(await forge({ kid: victim.recordId }), 'token_not_found');
      await expectUnproven(await post(gateway, REGISTER, { body }), 'proof_missing');
    });

    test('none of it is a token of the k3s server or the Kubernetes API either', async () => {
      const proof = await signProof({
        signer: victim.nodeKey,
        kid: victim.tokenId,
        claims: { ...honestClaims(gateway, victim.nodeId, { path: '/', body: '' }), inc: 1, seq: 1 },
      });
      for (const bearer of [victim.tokenHash, 'mock_seal_x', proof])
        for (const path of ['/v1-k3s/config', '/api/v1/nodes'])
          expect(
            (await ask(k3s.server + path, { ca: k3s.ca, headers: { authorization: `Bearer ${bearer}` } }))
              .status,
            path,
          ).toBe(401);
    });
  });

  describe('a proof counts once, for one request, for one minute', () => {
    test('a registration is replayed', async () => {
      const { status, proof, sent } = await register(gateway, victim);
      expect(status).toBe(200);
      await expectUnproven(await post(gateway, REGISTER, { proof, body: sent }), 'nonce_used');
    });

    test('a heartbeat is replayed, with an equal and with a lower sequence, and after a new registration', async () => {
      const { body: admitted } = await register(gateway, victim);
      const body = heartbeatBody(victim.nodeId);
      const beat = (inc: number, seq: number) =>
        signProof({
          signer: victim.nodeKey,
          kid: victim.tokenId,
          claims: { ...honestClaims(gateway, victim.nodeId, { path: HEARTBEAT, body }), inc, seq },
        });
      const proof = await beat(admitted.incarnation, 2);
      expect((await post(gateway, HEARTBEAT, { proof, body })).status).toBe(200);
      await expectUnproven(await post(gateway, HEARTBEAT, { proof, body }), 'sequence_replayed');
      const lower = await beat(admitted.incarnation, 1);
      await expectUnproven(await post(gateway, HEARTBEAT, { proof: lower, body }), 'sequence_replayed');
      const unused = await beat(admitted.incarnation, 3);
      await register(gateway, victim);
      // Signed by the node's own key, so that its holder is told why.
      expect(await post(gateway, HEARTBEAT, { proof: unused, body })).toMatchObject({
        status: 409,
        body: { code: 'registration_superseded' },
      });
    });

    test('a proof for one route is shown at another', async () => {
      const { proof } = await register(gateway, victim);
      await expectUnproven(
        await post(gateway, HEARTBEAT, { proof, body: heartbeatBody(victim.nodeId) }),
        'path_mismatch',
      );
    });

    const second = () => Date.now() / 1000;
    test.each<[attack: string, reason: string, tampering: () => Tampering]>([
      ['expired', 'proof_expired', () => ({ claims: { iat: second() - 60, exp: second() - 1 } })],
      [
        'from the future',
        'proof_from_future',
        () => ({ claims: { iat: second() + 30, exp: second() + 60 } }),
      ],
      [
        'made to live for a year',
        'proof_life_too_long',
        () => ({ claims: { iat: second(), exp: second() + 3e7 } }),
      ],
      ['for another gateway', 'audience_mismatch', () => ({ claims: { aud: `0x${'ab'.repeat(32)}` } })],
      ['for another method', 'method_mismatch', () => ({ claims: { htm: 'GET' } })],
      ['for another path', 'path_mismatch', () => ({ claims: { htu: HEARTBEAT } })],
      [
        'over another body',
        'body_mismatch',
        () => ({ body: registerBody({ ...victim, passwordHash: mallory.passwordHash }) }),
      ],
      ['without a nonce', 'nonce_missing', () => ({ claims: { nonce: undefined } })],
      ['with a nonce that nobody gave out', 'nonce_invalid', () => ({ claims: { nonce: 'AAAAaaaa' } })],
    ])('a proof that is %s', async (_attack, reason, tampering) => {
      await expectUnproven(await forge(tampering()), reason);
    });

    test('a nonce that was given out for another node', async () => {
      const nonce = await challenge(gateway, mallory);
      await expectUnproven(await forge({ claims: { nonce } }), 'nonce_invalid');
    });
  });

  describe('a key proves its own node alone', () => {
    test('another node’s key signs for the victim’s token', async () => {
      await expectUnproven(await forge({ signer: mallory.nodeKey }), 'holder_key_mismatch');
    });

    test('another key signs, and the victim’s public key is presented', async () => {
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: victim.nodeKey.x };
      await expectUnproven(await forge({ signer: newNodeKey(), header: { jwk } }), 'signature_invalid');
    });

    test('a staker asks for the victim’s name with his own token and key', async () => {
      const answer = await forge({ signer: mallory.nodeKey, kid: mallory.tokenId });
      expect(answer).toMatchObject({ status: 403, body: { code: 'node_id_mismatch' } });
    });

    test('another node’s key sends the victim’s heartbeat', async () => {
      const { body: admitted } = await register(gateway, victim);
      const body = heartbeatBody(victim.nodeId);
      const claims = {
        ...honestClaims(gateway, victim.nodeId, { path: HEARTBEAT, body }),
        inc: admitted.incarnation,
        seq: 1,
      };
      for (const [kid, reason] of [
        [victim.tokenId, 'signature_invalid'],
        [mallory.tokenId, 'token_mismatch'],
      ] as const) {
        const proof = await signProof({ signer: mallory.nodeKey, kid, claims });
        await expectUnproven(await post(gateway, HEARTBEAT, { proof, body }), reason);
      }
    });

    test('no algorithm, a public key taken for a secret, another type, a header nobody knows', async () => {
      const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const body = registerBody(victim);
      const claims = {
        ...honestClaims(gateway, victim.nodeId, { path: REGISTER, body }),
        nonce: await challenge(gateway, victim),
      };
      const header = { typ: 'seal+jwt', kid: victim.tokenId };
      const none = `seal_${json({ ...header, alg: 'none' })}.${json(claims)}.`;
      await expectUnproven(await post(gateway, REGISTER, { proof: none, body }), 'proof_malformed');
      const unsigned = `seal_${json({ ...header, alg: 'none' })}.${json(claims)}.AA`;
      await expectUnproven(await post(gateway, REGISTER, { proof: unsigned, body }), 'algorithm_refused');
      const confused = await new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ ...header, alg: 'HS256' })
        .sign(victim.nodeKey.publicKey);
      await expectUnproven(
        await post(gateway, REGISTER, { proof: `seal_${confused}`, body }),
        'algorithm_refused',
      );
      await expectUnproven(await forge({ header: { typ: 'JWT' } }), 'type_refused');
      await expectUnproven(await forge({ header: { x5u: 'https://mallory.example' } }), 'proof_malformed');
    });

    test('two proofs that differ, in the header and as a bearer; a body that names a third', async () => {
      const { proof, sent } = await register(gateway, victim);
      const headers = { authorization: `Bearer ${proof}x` };
      await expectUnproven(await post(gateway, REGISTER, { proof, body: sent, headers }), 'proof_missing');
      const body = JSON.stringify({ ...JSON.parse(registerBody(victim)), seal_token: 'mock_seal_x' });
      const claims = honestClaims(gateway, victim.nodeId, { path: REGISTER, body });
      expect(await forge({ claims: { bd: claims.bd }, body })).toMatchObject({
        status: 400,
        body: { code: 'request_invalid' },
      });
    });
  });

  describe('only this cluster’s stakes count', () => {
    test('a look-alike token of another copy of the package', async () => {
      const wallet = await world.chain.wallet(100n);
      const publisher = { endpoints: world.chain.publisher.endpoints, wallet };
      const { packageId } = await publishPackage(publisher, { build: world.chain.build });
      expect(packageId).not.toBe(world.chain.deployment.packageId);
      const { clusterId } = await createCluster(publisher, {
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
      const { clusterId } = await createCluster(
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
      stake.moveCall({
        target: `${packageId}::staking::stake_for_user`,
        arguments: [stake.object(clusterId), coin, stake.object.clock()],
      });
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
            // Sui's own testnet, say.
            chainId: '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD',
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
      const listing = async () =>
        (await kubernetes.get('/api/v1/namespaces/kube-system/configmaps/k3s-daas-admitted')).body.data[
          'ordinary-1'
        ];
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

    test('a worker’s own certificate creates a Node of another name, or without its taint', async () => {
      const { pair } = await askKubeletCertificate(
        k3s,
        { bearer: malloryBearer },
        { node: mallory.nodeId, password: mallory.password },
      );
      if (!pair) throw new Error('no certificate');
      expect((await createNode(k3s, pair, victim.nodeId)).status).toBe(403);
      expect(await createNode(k3s, pair, mallory.nodeId, 'no-such-tier')).toMatchObject({
        status: 403,
        body: { message: expect.stringContaining('taint') },
      });
      expect(await world.node(mallory.nodeId)).toBeUndefined();
    });
  });

  describe('what is no request', () => {
    const isAlive = async () => expect(await challenge(gateway, victim)).toMatch(/./);

    test('a body of 10 MB', async () => {
      const proof = 'mock_seal_x';
      const body = Buffer.alloc(10 * 1024 * 1024, 'x');
      // The gateway answers before it has read it all, and may close on the rest.
      const answer = await post(gateway, REGISTER, { proof, body }).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (typeof answer === 'object')
        expect(answer).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
      else expect(['ECONNRESET', 'EPIPE']).toContain(answer);
      await isAlive();
    });

    test('a body of 10 MB whose length is not announced', async () => {
      const headers = { 'transfer-encoding': 'chunked' };
      const body = Buffer.alloc(10 * 1024 * 1024, 'x');
      const answer = await post(gateway, REGISTER, { body, headers }).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (typeof answer === 'object') expect(answer.status).toBe(413);
      else expect(['ECONNRESET', 'EPIPE']).toContain(answer);
      await isAlive();
    });

    test('garbage: as a header, as a body, as bytes on the wire', async () => {
      const body = 'no JSON';
      for (const proof of ['seal_a.b.c', `seal_${'A'.repeat(3000)}`, 'seal_%00', 'x'.repeat(7000)])
        expect((await post(gateway, REGISTER, { proof, body })).status).toBe(401);
      expect(await post(gateway, REGISTER, { proof: 'x'.repeat(9000), body })).toMatchObject({ status: 400 });
      const claims = honestClaims(gateway, victim.nodeId, { path: REGISTER, body });
      expect(await forge({ claims: { bd: claims.bd }, body })).toMatchObject({
        status: 400,
        body: { code: 'request_invalid' },
      });
      expect(await onTheWire('\x16\x03\x01garbage\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
      expect(await onTheWire(`POST ${REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 400 /,
      );
      await isAlive();
    });

    test('plain HTTP, and TLS older than 1.3', async () => {
      const { hostname, port } = new URL(gateway.url);
      const overHttp = new Promise((resolve, reject) => {
        plainRequest({ hostname, port, path: REGISTER }, resolve).once('error', reject).end();
      });
      await expect(overHttp).rejects.toThrow();
      const old = new Promise((resolve, reject) => {
        const socket = connect(
          { host: hostname, port: Number(port), ca: gateway.ca, maxVersion: 'TLSv1.2' },
          () => {
            socket.destroy();
            resolve('connected');
          },
        ).once('error', reject);
      });
      await expect(old).rejects.toThrow(/version|alert/i);
    });

    async function onTheWire(bytes: string): Promise<string> {
      const { hostname, port } = new URL(gateway.url);
      const socket = connect({ host: hostname, port: Number(port), ca: gateway.ca });
      socket.end(bytes);
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      return text;
    }
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

  async function keypairOf({ configFile }: Worker): Promise<Ed25519Keypair> {
    const { wallet } = JSON.parse(await readFile(configFile, 'utf8'));
    return Ed25519Keypair.fromSecretKey((await readFile(wallet.keyFile, 'utf8')).trim());
  }

  function handMadeOf(pem: string): HandMadeKey {
    const privateKey = createPrivateKey(pem);
    const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
    return { privateKey, publicKey: new Uint8Array(Buffer.from(x, 'base64url')), x };
  }

  function createdIn({ effects, objectTypes }: Awaited<ReturnType<typeof carryOut>>, name: string): string {
    const made = effects.changedObjects.find(
      ({ idOperation, objectId }) =>
        idOperation === 'Created' && objectTypes[objectId]?.endsWith(`::${name}`),
    );
    if (!made) throw new Error(`no ${name} was made`);
    return made.objectId;
  }

  const secretOf = (nodeId: string) =>
    world.kubernetes.get(`/api/v1/namespaces/kube-system/secrets/${nodeId}.node-password.k3s`);
}
