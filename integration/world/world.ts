import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Lifetime } from '#base';
import { operations, type SlashOutcome, type Wallet } from '#chain';
import { type ChainWorld, SUI } from '../chain/chain-world.ts';
import { type KubernetesApi, until } from './kubernetes.ts';
import { endLeftovers } from './leftovers.ts';
import { Program, runOnce } from './program.ts';
import { type SeenMachine, seenBy } from './seen-machine.ts';
import type { K3s } from './standin-k3s.ts';
import { workerPlugins } from './worker-plugins.ts';
import { chainSettings, runGateway, startParts, type WorldOptions, type WorldParts } from './world-parts.ts';

export { SUI } from '../chain/chain-world.ts';

export interface WorkerOptions {
  readonly stakeMist?: bigint;
  /** Members of the configuration that differ. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The host and what it starts see this machine and boot instead of the real one (root is needed). */
  readonly machine?: SeenMachine;
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
  readonly addGateway: WorldParts['addGateway'];
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
    this.addGateway = parts.addGateway;
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
    { stakeMist = 2n * SUI, config = {}, args = [], env = {}, machine: seen }: WorkerOptions = {},
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
      stake: { amountMist: stakeMist.toString(), acceptTerms: await termsOf(this.chain) },
      health: { host: '127.0.0.1', port: 0 },
      plugins: workerPlugins(),
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
            ...(seen ? { command: seenBy(seen) } : {}),
          }),
        );
      },
    };
  }

  /** Starts the gateway again on its state, after `kill` or `stop`. */
  async restartGateway(): Promise<Program> {
    this.gateway = this.#keep(
      runGateway(this.directory, this.gatewayConfigFile, this.k3s.gatewayMachine?.command),
    );
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

/** A chain beyond loopback counts as a public network, where consent names the terms. */
export async function termsOf({ url, client }: ChainWorld): Promise<string> {
  return new URL(url).hostname === '127.0.0.1' ? 'any' : (await client.cluster()).termsFingerprint;
}

function abortOf(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    else signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
