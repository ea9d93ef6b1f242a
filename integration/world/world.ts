import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Lifetime, Secret } from '#base';
import { openWallet, operations, type SlashOutcome, type Wallet, writeDeployment } from '#chain';
import { type ChainWorld, SUI, startChainWorld } from '../chain/chain-world.ts';
import { freePort } from './free-port.ts';
import { KubernetesApi, until } from './kubernetes.ts';
import { endLeftovers } from './leftovers.ts';
import { Program, runOnce } from './program.ts';
import { type K3s, startStandinK3s } from './standin-k3s.ts';

export { SUI } from '../chain/chain-world.ts';

export interface WorldOptions {
  /** Members of the `gateway` section that differ. */
  readonly gateway?: Readonly<Record<string, unknown>>;
  /** How the cluster and the agents are had; the stand-ins unless given. */
  readonly startK3s?: (directory: string, life: Lifetime) => Promise<K3s>;
  readonly heartbeatIntervalMs?: number;
  /** Aborts the start: what was begun is put away. */
  readonly signal?: AbortSignal;
  /** Told as things become ready. */
  readonly onReady?: (event: string, facts: Readonly<Record<string, unknown>>) => void;
}

export interface WorkerOptions {
  readonly stakeMist?: bigint;
  /** Members of the configuration that differ. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A whole system of real processes: a dev chain with the contracts on it, a k3s server, the gateway set up and run as an
 * operator does, and workers that run `k3s-daas agent`. Everything is gone when it is disposed of.
 */
export class World implements AsyncDisposable {
  readonly directory: string;
  readonly chain: ChainWorld;
  readonly k3s: K3s;
  readonly kubernetes: KubernetesApi;
  readonly deploymentFile: string;
  readonly slashers: readonly Wallet[];
  readonly gatewayConfigFile: string;
  readonly gatewayUrl: string;
  readonly gatewayId: string;
  readonly gatewayCaFile: string;
  /** On tmpfs: join tokens. */
  readonly runtimeDir: string;
  gateway: Program;
  readonly #life: Lifetime;
  readonly #programs: Program[] = [];

  private constructor(parts: Omit<WorldParts, 'life'>, life: Lifetime) {
    this.directory = parts.directory;
    this.chain = parts.chain;
    this.k3s = parts.k3s;
    this.kubernetes = parts.kubernetes;
    this.deploymentFile = parts.deploymentFile;
    this.slashers = parts.slashers;
    this.gatewayConfigFile = parts.gatewayConfigFile;
    this.gatewayUrl = parts.gatewayUrl;
    this.gatewayId = parts.gatewayId;
    this.gatewayCaFile = parts.gatewayCaFile;
    this.runtimeDir = parts.runtimeDir;
    this.gateway = parts.gateway;
    this.#life = life;
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    const life = new Lifetime();
    const starting = startParts(life, options);
    // After an abort its own end comes late, and is not waited for.
    starting.catch(() => undefined);
    try {
      return new World(await Promise.race([starting, abortOf(options.signal)]), life);
    } catch (error) {
      await life.close().catch(() => undefined);
      throw error;
    }
  }

  /** A worker with a funded wallet and a configuration of its own; not started yet. */
  async worker(nodeId: string, options: WorkerOptions = {}): Promise<Worker> {
    const wallet = await this.chain.wallet(100n);
    return this.workerOf(nodeId, wallet, options);
  }

  async workerOf(
    nodeId: string,
    wallet: Wallet & { readonly keyFile: string },
    { stakeMist = 2n * SUI, config = {}, args = [], env = {} }: WorkerOptions = {},
  ): Promise<Worker> {
    const directory = join(this.directory, nodeId);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const machine = await this.k3s.machine(nodeId, directory);
    const configFile = join(directory, 'k3s-daas.json');
    const stateDir = join(directory, 'state');
    const merged = {
      nodeId,
      stateDir,
      chain: chainSettings(this.chain, this.deploymentFile),
      wallet: { keyFile: wallet.keyFile },
      stake: { amountMist: stakeMist.toString(), acceptTerms: 'any' },
      health: { host: '127.0.0.1', port: 0 },
      plugins: [
        { use: 'staking' },
        { use: 'registration' },
        { use: 'heartbeat' },
        { use: 'slashing', config: { intervalMs: 1000 } },
      ],
      ...config,
      agent: {
        binary: machine.binary,
        args: machine.args,
        containerdAddress: machine.containerdAddress,
        runtimeDir: this.runtimeDir,
        ...(config.agent as Record<string, unknown> | undefined),
      },
    };
    await writeFile(configFile, JSON.stringify(merged, null, 2), { mode: 0o600 });
    return {
      nodeId,
      wallet,
      directory,
      configFile,
      stateDir,
      dataDir: machine.dataDir,
      tokenFile: join(this.runtimeDir, nodeId, 'join-token'),
      containerdAddress: machine.containerdAddress,
      start: () => {
        return this.#keep(
          new Program({
            name: nodeId,
            args: ['agent', '--config', configFile, '--json', ...args],
            logFile: join(this.directory, `${nodeId}.log`),
            env: { ...machine.env, ...env },
            ...(machine.command ? { command: machine.command } : {}),
          }),
        );
      },
    };
  }

  /** Starts the gateway again on its state, after `kill` or `stop`. */
  async restartGateway(): Promise<Program> {
    this.gateway = this.#keep(runGateway(this.directory, this.gatewayConfigFile));
    await this.gateway.event('gateway.ready');
    return this.gateway;
  }

  /** Both slashers vote: the stake is gone when this resolves. */
  async slash(recordId: string, amountMist: bigint, reason: string): Promise<SlashOutcome> {
    const [first, second] = this.slashers;
    if (!first || !second) throw new Error('this world has two slashers');
    const { client } = this.chain;
    const proposed = await operations.proposeSlash.execute(
      { client, wallet: first },
      { recordId, amountMist, reason },
    );
    return operations.voteSlash.execute(
      { client, wallet: second },
      { recordId, proposalId: proposed.proposalId, andExecute: true },
    );
  }

  /** The Node as an administrator sees it, or undefined. */
  async node(name: string): Promise<{ uid: string; isReady: boolean } | undefined> {
    const { status, body } = await this.kubernetes.get(`/api/v1/nodes/${name}`);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET node ${name}: ${status}`);
    const conditions = (body.status?.conditions ?? []) as Array<{ type: string; status: string }>;
    return {
      uid: body.metadata.uid as string,
      isReady: conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    };
  }

  nodeReady(name: string, withinMs = 60_000): Promise<{ uid: string; isReady: boolean }> {
    return until(
      `Node ${name} to be Ready`,
      async () => {
        const node = await this.node(name);
        return node?.isReady ? node : undefined;
      },
      { withinMs },
    );
  }

  nodeGone(name: string, withinMs = 60_000): Promise<true> {
    return until(`Node ${name} to be gone`, async () => ((await this.node(name)) ? undefined : true), {
      withinMs,
    });
  }

  /** Runs one of our commands to its end. */
  command(...args: readonly string[]): ReturnType<typeof runOnce> {
    return runOnce({ name: args[0] ?? '', args, logFile: join(this.directory, 'commands.log') });
  }

  #keep(program: Program): Program {
    this.#programs.push(program);
    return program;
  }

  /** Everything is put away within a deadline, whatever of it hangs. */
  async close(withinMs = 60_000): Promise<void> {
    const hurry = setTimeout(() => this.kill(), withinMs);
    try {
      await Promise.all(this.#programs.map((program) => program.stop()));
      await this.#life.close();
    } finally {
      clearTimeout(hurry);
    }
  }

  /** All of its processes, at once. */
  kill(): void {
    endLeftovers(this.directory);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export interface Worker {
  readonly nodeId: string;
  readonly wallet: Wallet;
  readonly directory: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly tokenFile: string;
  readonly containerdAddress: string;
  /** A life of the host. */
  start(): Program;
}

/** The machines of a real k3s reach the chain by a network of their own, by plain HTTP. */
const chainSettings = ({ url }: ChainWorld, deployment: string) => ({
  endpoints: [url],
  deployment,
  ...(new URL(url).hostname === '127.0.0.1' ? {} : { allowInsecure: true }),
});

function abortOf(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    else signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

interface WorldParts {
  readonly directory: string;
  readonly chain: ChainWorld;
  readonly k3s: K3s;
  readonly kubernetes: KubernetesApi;
  readonly deploymentFile: string;
  readonly slashers: readonly Wallet[];
  readonly gatewayConfigFile: string;
  readonly gatewayUrl: string;
  readonly gatewayId: string;
  readonly gatewayCaFile: string;
  readonly runtimeDir: string;
  readonly gateway: Program;
}

async function startParts(life: Lifetime, options: WorldOptions): Promise<WorldParts> {
  const onReady = options.onReady ?? (() => undefined);
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-'));
  const runtimeDir = await mkdtemp('/dev/shm/k3s-daas-');
  life.defer('directories', async () => {
    endLeftovers(directory);
    await rm(runtimeDir, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  });
  const starting = (options.startK3s ?? startStandinK3s)(directory, life);
  // A failure of the chain must not leave this one unheard.
  starting.catch(() => undefined);

  const slasherKeys = [Ed25519Keypair.generate(), Ed25519Keypair.generate()];
  // Workers on another network must reach the chain, and that network has to be there first.
  const host = options.startK3s ? (await starting).gatewayHost : undefined;
  const chain = life.use(
    'the chain',
    await startChainWorld(
      {
        slashers: slasherKeys.map((key) => key.toSuiAddress()),
        slashThreshold: 2n,
        unbondingMs: 600_000n,
        proposalLifeMs: 60_000n,
      },
      { host },
    ),
  );
  const slashers = slasherKeys.map((key) =>
    openWallet({ key: new Secret(key.getSecretKey()), origin: 'a slasher' }),
  );
  for (const { address } of slashers) await chain.devnet.faucet(address);
  const deploymentFile = join(directory, 'deployment.json');
  await writeDeployment(deploymentFile, chain.deployment);
  onReady('chain.ready', { url: chain.url, ...chain.deployment });

  const k3s = await starting;
  const kubernetes = await KubernetesApi.fromKubeconfig(k3s.kubeconfig);
  life.defer('the Kubernetes client', () => kubernetes[Symbol.dispose]());
  onReady('cluster.ready', { server: k3s.server, kubeconfig: k3s.kubeconfig });

  const port = await freePort();
  const gatewayDir = join(directory, 'gateway');
  await mkdir(gatewayDir, { mode: 0o700 });
  const gatewayUrl = `https://${k3s.gatewayHost}:${port}`;
  const gatewayConfigFile = join(gatewayDir, 'k3s-daas.json');
  const config = (gatewayId?: string) => ({
    nodeId: 'gateway',
    chain: chainSettings(chain, deploymentFile),
    gateway: {
      listen: { host: k3s.gatewayHost, port },
      tls: { certFile: join(gatewayDir, 'tls.crt'), keyFile: join(gatewayDir, 'tls.key') },
      health: { host: '127.0.0.1', port: 0 },
      stateDir: join(gatewayDir, 'state'),
      kubeconfig: join(gatewayDir, 'kubeconfig'),
      server: k3s.server,
      serverCaFile: k3s.serverCaFile,
      heartbeatIntervalMs: options.heartbeatIntervalMs ?? 1000,
      ...(gatewayId === undefined ? {} : { gatewayId }),
      ...options.gateway,
    },
  });
  const writeConfig = (gatewayId?: string) =>
    writeFile(gatewayConfigFile, JSON.stringify(config(gatewayId), null, 2), { mode: 0o600 });
  await writeConfig();
  const setup = await runOnce({
    name: 'gateway setup',
    args: [
      'gateway',
      'setup',
      '--config',
      gatewayConfigFile,
      '--admin-kubeconfig',
      k3s.kubeconfig,
      '--yes',
      '--json',
    ],
    logFile: join(directory, 'gateway-setup.log'),
  });
  const made = setup.lines.find((line) => 'tlsPin' in line);
  if (setup.code !== 0 || !made) throw new Error(`gateway setup ended with ${setup.code}:\n${setup.tail}`);
  const { gatewayId } = await operations.addGateway.execute(chain.actor, {
    url: gatewayUrl,
    tlsPins: [Buffer.from(String(made.tlsPin), 'hex')],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: Buffer.from(String(made.signingKey), 'hex'),
    tier: 'basic',
  });
  await writeConfig(gatewayId);
  const gateway = runGateway(directory, gatewayConfigFile);
  life.defer('the first gateway', () => gateway.stop());
  await gateway.event('gateway.ready');
  onReady('gateway.ready', {
    url: gatewayUrl,
    gatewayId,
    pid: gateway.pid,
    caFile: join(gatewayDir, 'tls.crt'),
  });
  return {
    directory,
    chain,
    k3s,
    kubernetes,
    deploymentFile,
    slashers,
    gatewayConfigFile,
    gatewayUrl,
    gatewayId,
    gatewayCaFile: join(gatewayDir, 'tls.crt'),
    runtimeDir,
    gateway,
  };
}

function runGateway(directory: string, configFile: string): Program {
  return new Program({
    name: 'gateway',
    args: ['gateway', 'run', '--config', configFile, '--json'],
    logFile: join(directory, 'gateway.log'),
  });
}
