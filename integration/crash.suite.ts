import { readFile, writeFile } from 'node:fs/promises';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { suiteWorld } from './suite-world.ts';
import { admittedNamesOf } from './world/admitted-names.ts';
import { freePort } from './world/free-port.ts';
import { FreezeProxy, type SeenRequest } from './world/freeze-proxy.ts';
import {
  askKubeletCertificate,
  bearerOf,
  chainClient,
  createNode,
  type KnownGateway,
  register,
  type Stakeholder,
  stakeAndMint,
} from './world/outsider.ts';
import { bothPodsOf, podsOf, processesOf } from './world/processes.ts';
import type { Program } from './world/program.ts';
import { SUI, type Worker, World } from './world/world.ts';

/**
 * Processes are killed with SIGKILL at exact places: a proxy holds the one message that a test names, so that the kill
 * lands between what was sent and what was told.
 */
describe.skipIf(suiteWorld.isMissing)(`crashes at ${suiteWorld.name}`, () => {
  let world: World;
  let sui: SuiGrpcClient;
  /** Between workers and the chain, between workers and the gateway, between the gateway and Kubernetes. */
  let chain: FreezeProxy;
  let gateway: FreezeProxy;
  let kubernetes: FreezeProxy;
  let known: KnownGateway;
  let k3s: { server: string; ca: string };

  beforeAll(async () => {
    // The chain names the proxy's address; the gateway itself listens elsewhere.
    world = await World.start({
      ...suiteWorld.k3s,
      gateway: {
        listen: { host: '127.0.0.1', port: await freePort() },
        limits: { strangerBurst: 100, addressRate: 1000, addressBurst: 1000 },
      },
    });
    sui = chainClient(world.chain.url);
    chain = await FreezeProxy.start({ upstream: world.chain.url });
    const { gateway: config } = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8'));
    const tls = {
      cert: await readFile(config.tls.certFile, 'utf8'),
      key: await readFile(config.tls.keyFile, 'utf8'),
    };
    gateway = await FreezeProxy.start({
      upstream: `https://127.0.0.1:${config.listen.port}`,
      port: Number(new URL(world.gatewayUrl).port),
      tls,
    });
    kubernetes = await FreezeProxy.start({ upstream: world.k3s.server, tls });
    await world.gateway.stop();
    await sendThrough(config.kubeconfig, kubernetes.url, tls.cert);
    await world.restartGateway();
    known = { url: world.gatewayUrl, id: world.gatewayId, ca: tls.cert };
    k3s = { server: world.k3s.server, ca: await readFile(world.k3s.serverCaFile, 'utf8') };
  });
  afterAll(async () => {
    await world?.close();
    for (const proxy of [chain, gateway, kubernetes]) await proxy?.[Symbol.asyncDispose]();
  });

  /** Leads a kubeconfig to a proxy. */
  async function sendThrough(kubeconfig: string, server: string, ca: string): Promise<void> {
    const config = parse(await readFile(kubeconfig, 'utf8'));
    config.clusters[0].cluster = {
      server,
      'certificate-authority-data': Buffer.from(ca).toString('base64'),
    };
    await writeFile(kubeconfig, stringify(config), { mode: 0o600 });
  }

  const newWorker = (nodeId: string, config: Readonly<Record<string, unknown>> = {}): Promise<Worker> =>
    world.worker(nodeId, {
      config: { chain: { endpoints: [chain.url], deployment: world.deploymentFile }, ...config },
    });

  async function killed(program: Program): Promise<void> {
    program.kill('SIGKILL');
    expect(await program.exited).toMatchObject({ signal: 'SIGKILL' });
  }

  describe('a host that is killed and started again has staked once, minted once, and runs one agent', () => {
    const isExecution = ({ path }: SeenRequest) => path.endsWith('/ExecuteTransaction');
    const isRegistration = ({ path }: SeenRequest) => path === '/api/v1/register-worker';

    test('killed before stake and Seal token are sent', async () => {
      const worker = await newWorker('before-stake');
      const { reached } = chain.freeze('before', isExecution);
      const host = worker.start();
      await reached;
      await killed(host);
      chain.thaw();
      expect(await standingOf(worker)).toEqual({ records: [], tokens: [], transactions: 0 });
      await joinsOnce(worker);
    });

    test('killed after stake and Seal token are sent in one transaction, before its answer', async () => {
      const worker = await newWorker('after-stake');
      const { reached } = chain.freeze('after', isExecution);
      const host = worker.start();
      await reached;
      await killed(host);
      chain.thaw();
      expect(await standingOf(worker)).toMatchObject({ records: [{}], tokens: [{}], transactions: 1 });
      await joinsOnce(worker);
    });

    test('killed after the gateway has admitted it, before the credential arrives', async () => {
      const worker = await newWorker('after-register');
      const { reached } = gateway.freeze('after', isRegistration);
      const host = worker.start();
      await reached;
      expect(gateway.seen.at(-1)).toMatchObject({ status: 200 });
      await killed(host);
      gateway.thaw();
      expect(agentsOf(worker)).toEqual([]);
      expect(await admittedNames()).toHaveProperty(worker.nodeId);
      await joinsOnce(worker);
    });

    test('killed while k3s runs; the pods run on', async () => {
      const worker = await newWorker('while-running');
      const host = worker.start();
      await world.nodeReady(worker.nodeId);
      await host.event('agent.ready');
      const before = await world.node(worker.nodeId);
      const pods = await bothPodsOf(worker.containerdAddress);
      await killed(host);
      await joinsOnce(worker);
      expect(podsOf(worker.containerdAddress)).toEqual(pods);
      // The Node was heard of a moment ago: it is the same one, not one that was made anew.
      expect(await world.node(worker.nodeId)).toEqual(before);
    });

    /** Starts the host anew, waits until it runs, holds the whole balance against the chain, and stops it. */
    async function joinsOnce(worker: Worker): Promise<void> {
      const { nodeId, wallet } = worker;
      const host = worker.start();
      await host.event('agent.ready');
      await host.event('heartbeat.acknowledged');
      await world.nodeReady(nodeId);

      const { records, tokens } = await standingOf(worker);
      expect(records).toHaveLength(1);
      expect(tokens).toHaveLength(1);
      expect(records[0]).toMatchObject({ staker: wallet.address, token: tokens[0]?.id, status: 0 });
      expect(tokens[0]).toMatchObject({ node_id: nodeId, stake_id: records[0]?.id });

      const sent = await transactionsOf(wallet.address);
      expect(sent.map(({ isSuccess }) => isSuccess)).toEqual([true]);
      const gas = sent.reduce((sum, { gasMist }) => sum + gasMist, 0n);
      expect(await world.chain.balance(wallet.address)).toBe(100n * SUI - 2n * SUI - gas);

      expect(agentsOf(worker)).toHaveLength(1);
      await host.stop();
      expect(await host.exited).toEqual({ code: 0, signal: null });
      expect(agentsOf(worker)).toEqual([]);
    }
  });

  describe('a gateway that is killed between two steps of an admission gives the name to nobody else', () => {
    let thief: Stakeholder;
    /** A live join credential that the gateway gave out for another name. */
    let bearer: string;

    beforeAll(async () => {
      const wallet = Ed25519Keypair.generate();
      await world.chain.devnet.faucet(wallet.toSuiAddress(), 10n * SUI);
      thief = await stakeAndMint(sui, world.chain.deployment, { nodeId: 'thief', wallet });
    });
    /** The gateway ends all credentials at the third name that is claimed with them; the thief asks for another. */
    beforeEach(async () => {
      const { status, body } = await register(known, thief);
      expect(status).toBe(200);
      bearer = bearerOf(body.join.token);
    });

    const steps = [
      'DELETE password',
      'POST password',
      'POST names',
      'POST binding',
      'POST credential',
    ] as const;

    /** What the gateway writes to Kubernetes for one name. */
    const isWriteFor =
      (nodeId: string) =>
      ({ method, path, body, headers }: SeenRequest) =>
        method !== 'GET' &&
        headers.authorization !== undefined &&
        (path.includes(nodeId) || body.includes(`"${nodeId}"`));

    test('an admission writes exactly the steps that are broken up below', async () => {
      const worker = await newWorker('all-steps');
      const host = worker.start();
      await host.event('worker.registered');
      const writes = kubernetes.seen.filter(isWriteFor(worker.nodeId)).map(nameOf);
      expect(writes.slice(0, steps.length)).toEqual(steps);
      await host.event('agent.ready');
      await host.stop();
    });

    test('killed before its first step', () => brokenUp('step-0', 'before', 1));
    test.each(steps.map((name, index) => ({ name, nth: index + 1 })))(
      'killed when $name is done, before it is told',
      ({ nth }) => brokenUp(`step-${nth}`, 'after', nth),
    );

    async function brokenUp(nodeId: string, moment: 'before' | 'after', nth: number): Promise<void> {
      const worker = await newWorker(nodeId);
      const { reached } = kubernetes.freeze(moment, isWriteFor(nodeId), nth);
      const host = worker.start();
      expect(nameOf(await reached)).toBe(steps[nth - 1]);
      await yieldsNothing(nodeId);
      await killed(world.gateway);
      kubernetes.thaw();
      await yieldsNothing(nodeId);
      await world.restartGateway();
      await yieldsNothing(nodeId);

      await host.event('worker.registered');
      await yieldsNothing(nodeId);
      await host.event('agent.ready');
      await world.nodeReady(nodeId);
      await yieldsNothing(nodeId);
      expect(await admittedNames()).toHaveProperty(nodeId);
      await host.stop();
    }

    /** Either the supervisor refuses the credential under this name, or its certificate makes no Node. */
    async function yieldsNothing(nodeId: string): Promise<void> {
      const before = await world.node(nodeId);
      const claimed = await askKubeletCertificate(
        k3s,
        { bearer },
        { node: nodeId, password: thief.password },
      );
      if (!claimed.pair) {
        expect(claimed).toMatchObject({ status: 403 });
        return;
      }
      // k3s gives a name away that nobody has reserved; it must be worth nothing then.
      expect(before).toBeUndefined();
      const made = await createNode(k3s, claimed.pair, nodeId);
      // The admission may go on meanwhile: the name is listed then, and refused is the certificate.
      const byName = `the node name ${nodeId} is not admitted`;
      const byCertificate = `is not one that the node ${nodeId} has shown to the gateway`;
      expect({ status: made.status, message: made.body.message }).toEqual({
        status: 403,
        message: expect.stringMatching(`${byName}|${byCertificate}`),
      });
    }

    function nameOf({ method, path, body }: SeenRequest): string {
      if (path.includes('/roles')) return `${method} names`;
      if (path.includes('/rolebindings')) return `${method} binding`;
      const isPassword = path.includes('.node-password.k3s') || body.includes('k3s.cattle.io/node-password');
      return `${method} ${isPassword ? 'password' : 'credential'}`;
    }
  });

  describe('a gateway that is away restarts no agent', () => {
    const registrations = (host: Program) => host.lines.filter(({ event }) => event === 'worker.registered');
    const agentStarts = (host: Program) => host.lines.filter(({ event }) => event === 'agent.started');

    /** Until the agent is Ready and the gateway has heard of it. */
    async function running(host: Program): Promise<void> {
      await host.line('the phase run', ({ phase }) => phase === 'run', { withinMs: 120_000 });
      await host.event('heartbeat.acknowledged');
    }

    /** Until a heartbeat of the registration that came after line `from` was acknowledged. */
    async function registeredAnew(host: Program, from: number): Promise<void> {
      await host.event('worker.registered', { from });
      const known = host.lines.findIndex((line, at) => at >= from && line.event === 'worker.registered');
      await host.event('heartbeat.acknowledged', { from: known });
    }

    test('killed, and back after many heartbeats: workers register again, get no credential, and their agents run on', async () => {
      const workers = await Promise.all(['patient-1', 'patient-2'].map((nodeId) => newWorker(nodeId)));
      const hosts = workers.map((worker) => worker.start());
      await Promise.all(hosts.map(running));
      const before = await Promise.all(
        workers.map(async (worker) => [agentsOf(worker), await world.node(worker.nodeId)]),
      );
      await killed(world.gateway);
      const marks = hosts.map((host) => host.lines.length);
      for (const [index, host] of hosts.entries())
        await host.line('a new registration is tried', ({ message }) => message === 'Registering again', {
          from: marks[index] ?? 0,
        });
      await world.restartGateway();
      for (const [index, host] of hosts.entries()) await registeredAnew(host, marks[index] ?? 0);
      for (const host of hosts) {
        expect(registrations(host).at(-1)).toMatchObject({ hasJoinCredential: false });
        expect(agentStarts(host)).toHaveLength(1);
      }
      const after = await Promise.all(
        workers.map(async (worker) => [agentsOf(worker), await world.node(worker.nodeId)]),
      );
      expect(after).toEqual(before);
      for (const host of hosts) await host.stop();
    });

    test('a machine that starts while the gateway is away starts its agent once', async () => {
      const worker = await newWorker('rebooted', { join: { patienceMs: 1_000 } });
      const first = worker.start();
      await running(first);
      await first.stop();
      await killed(world.gateway);
      const host = worker.start();
      await host.event('agent.ready');
      await world.restartGateway();
      await registeredAnew(host, 0);
      expect(agentStarts(host)).toHaveLength(1);
      expect(agentsOf(worker)).toHaveLength(1);
      await host.stop();
    });
  });

  interface ChainObject {
    readonly id: string;
    readonly [field: string]: unknown;
  }

  /** What the chain holds of this worker, as anybody can read it. */
  async function standingOf({ nodeId, wallet }: Worker): Promise<{
    records: ChainObject[];
    tokens: ChainObject[];
    transactions: number;
  }> {
    const { packageId } = world.chain.deployment;
    const { events } = await sui.core.listEvents({
      filter: { eventType: `${packageId}::staking::StakeCreated` },
      limit: 1000,
    });
    const made = events
      .map(({ json }) => json as { record: string; node_id: string })
      .filter(({ node_id }) => node_id === nodeId);
    const { objects } = await sui.core.getObjects({
      objectIds: made.map(({ record }) => record),
      include: { json: true },
    });
    const owned = await sui.core.listOwnedObjects({
      owner: wallet.address,
      type: `${packageId}::k8s_gateway::SealToken`,
      include: { json: true },
    });
    const sent = await transactionsOf(wallet.address);
    return {
      records: objects.map((object) => {
        if (object instanceof Error) throw object;
        return object.json as ChainObject;
      }),
      tokens: owned.objects.map((object) => object.json as ChainObject),
      transactions: sent.length,
    };
  }

  async function transactionsOf(sender: string): Promise<Array<{ isSuccess: boolean; gasMist: bigint }>> {
    const { transactions } = await sui.core.listTransactions({
      filter: { sender },
      include: { effects: true },
    });
    return transactions.map((result) => {
      const { effects, status } = result.Transaction ?? result.FailedTransaction;
      const { computationCost, storageCost, storageRebate } = effects.gasUsed;
      return {
        isSuccess: status.success,
        gasMist: BigInt(computationCost) + BigInt(storageCost) - BigInt(storageRebate),
      };
    });
  }

  async function admittedNames(): Promise<Record<string, string>> {
    return Object.fromEntries(await admittedNamesOf(world.kubernetes));
  }

  const agentsOf = ({ containerdAddress }: Worker) => processesOf(containerdAddress, 'k3s agent');
});
