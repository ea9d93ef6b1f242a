import { chown, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import {
  GenericContainer,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';
import type { Lifetime } from '#base';
import {
  type ChainClient,
  type Deployment,
  operations,
  readContractBuild,
  type Wallet,
  writeDeployment,
} from '#chain';
import type { ImageNames } from '../../scripts/images/images.ts';
import { deployCluster, testWallet } from '../chain/deploy.ts';
import { KubernetesApi, until } from '../world/kubernetes.ts';
import { projectRoot } from '../world/program.ts';
import {
  type ApiServer,
  NODE,
  type Place,
  type Running,
  type Server,
  startServer,
} from './container-server.ts';
import {
  GATEWAY_HOME,
  gatewaySettings,
  HEALTH_PORT,
  SUI,
  standinAgent,
  workerSettings,
} from './container-settings.ts';
import { cut } from './cut.ts';
import { type RealAgent, realAgent, realWorkerContainer } from './k3s-worker.ts';
import { LoggedContainer } from './logged-container.ts';

/** The user of the gateway's image. */
const GATEWAY_USER = 65_532;

/**
 * A whole system in containers on one Docker network: dev chain and gateway from their images, workers from the image of a test, the
 * server as `ApiServer` says, and the stand-ins of k3s from the clone, which is mounted.
 */
export class ContainerWorld {
  readonly network: StartedNetwork;
  readonly client: ChainClient;
  readonly kubernetes: KubernetesApi;
  gateway!: LoggedContainer;
  readonly chain: Running;
  readonly server: Running;
  readonly #parts: Parts;

  private constructor(parts: Parts & { readonly kubernetes: KubernetesApi }) {
    this.#parts = parts;
    this.network = parts.network;
    this.client = parts.client;
    this.kubernetes = parts.kubernetes;
    this.chain = parts.chain;
    this.server = parts.k3s;
  }

  static async start(images: ImageNames, life: Lifetime, options: WorldOptions): Promise<ContainerWorld> {
    const { api, agent } = options;
    const startedAtMs = performance.now();
    const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-containers-'));
    life.defer('directory', () => rm(directory, { recursive: true, force: true }));
    const network = await new Network().start();
    life.defer('the network', async () => void (await network.stop()));
    const [chain, k3s] = await Promise.all([
      startChain(life, { images, network, directory }, options.sui),
      startServer(life, { images, network, directory }, api),
    ]);
    const kubernetes = await KubernetesApi.fromKubeconfig(k3s.kubeconfig);
    life.defer('the Kubernetes client', () => kubernetes[Symbol.dispose]());
    const parts = { images, network, directory, life, k3s, kubernetes, agent, ...chain };
    const world = new ContainerWorld(parts);
    const serving = secondsSince(startedAtMs);
    await setUpGateway(parts);
    const setUp = secondsSince(startedAtMs);
    await world.startGateway(images.gateway);
    process.stderr.write(
      `world started: chain with a cluster and server after ${serving} s, gateway set up after ${setUp} s, ready after ${secondsSince(startedAtMs)} s\n`,
    );
    return world;
  }

  /** Another container of the gateway, on the same state and under the same name. */
  async startGateway(image: string): Promise<void> {
    const { directory, network, life } = this.#parts;
    this.gateway = await LoggedContainer.start(
      new HardenedContainer(image)
        .withNetwork(network)
        .withNetworkAliases('gateway')
        .withBindMounts([{ source: join(directory, 'gateway'), target: GATEWAY_HOME }])
        .withTmpFs({ '/tmp': 'rw' })
        .withCommand(['run', '--config', `${GATEWAY_HOME}/k3s-daas.json`, '--json']),
      life,
    );
    await this.gateway.event('gateway.ready');
  }

  async worker(nodeId: string): Promise<LoggedContainer> {
    const { directory, network, life, images, faucet, agent } = this.#parts;
    const home = join(directory, nodeId);
    await mkdir(home, { mode: 0o700 });
    const wallet = await faucet();
    const { termsFingerprint } = await this.client.cluster();
    const settings = workerSettings(nodeId, termsFingerprint, agent ? realAgent : standinAgent);
    await writeFile(join(home, 'wallet.key'), wallet.secretKey, { mode: 0o600 });
    await copyFile(join(directory, 'deployment.json'), join(home, 'deployment.json'));
    await writeFile(join(home, 'k3s.yaml'), '{}\n');
    await writeFile(join(home, 'k3s-daas.json'), JSON.stringify(settings), { mode: 0o600 });
    const container = agent
      ? await realWorkerContainer(agent, { home, bundle: join(directory, 'k3s-server', 'data') })
      : standinWorkerContainer(images.worker, home);
    return LoggedContainer.start(
      container
        .withNetwork(network)
        .withCommand(['agent', '--config', '/etc/k3s-daas/k3s-daas.json', '--json']),
      life,
    );
  }

  /** Both slashers vote, and the slash is carried out. */
  async slash(nodeId: string): Promise<void> {
    const { client, slashers } = this.#parts;
    const [first, second] = slashers;
    const recordId = (await client.liveRecordOf(nodeId)) ?? '';
    const proposal = { recordId, amountMist: 2n * SUI, reason: 'a test' };
    const { proposalId } = await operations.proposeSlash.execute({ client, wallet: first }, proposal);
    await operations.voteSlash.execute(
      { client, wallet: second },
      { recordId, proposalId, andExecute: true },
    );
  }

  /** Whether the Node is Ready; `undefined`: it is not there. */
  async isReady(name: string): Promise<boolean | undefined> {
    const { status, body } = await this.kubernetes.get(`/api/v1/nodes/${name}`);
    if (status === 404) return undefined;
    const conditions = (body.status?.conditions ?? []) as Array<{ type: string; status: string }>;
    return conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
  }

  /** The checks of the gateway's `/readyz` that do not hold. */
  async failingChecks(): Promise<readonly string[]> {
    const address = this.gateway.container.getIpAddress(this.network.getName());
    const response = await fetch(`http://${address}:${HEALTH_PORT}/readyz`);
    const { checks } = (await response.json()) as { checks: Array<{ name: string; ok: boolean }> };
    return checks.filter(({ ok }) => !ok).map(({ name }) => name);
  }

  /** Runs the steps while every packet between two containers is dropped. */
  async whileCut<T>(one: Running, other: Running, steps: () => Promise<T>): Promise<T> {
    const mend = await cut(one, other, this.network.getName());
    try {
      return await steps();
    } finally {
      mend();
    }
  }

  becomes(name: string, isReady: boolean | undefined): Promise<true> {
    const what = isReady === undefined ? 'gone' : isReady ? 'Ready' : 'not Ready';
    return until(`Node ${name} to be ${what}`, async () =>
      (await this.isReady(name)) === isReady ? true : undefined,
    );
  }
}

interface Chain {
  readonly chain: Running;
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly admin: Wallet;
  readonly slashers: readonly [Wallet, Wallet];
  /** A new account with coins. */
  readonly faucet: () => Promise<Wallet & { readonly secretKey: string }>;
}

/** What is real in a world. */
interface WorldOptions {
  readonly api: ApiServer;
  /** What workers run; left out: the stand-in of k3s. */
  readonly agent?: RealAgent | undefined;
  /** An image of Sui's own tools, whose local network is the chain; left out: the dev chain. */
  readonly sui?: string;
}

interface Parts extends Place, Chain {
  readonly life: Lifetime;
  readonly agent: RealAgent | undefined;
  readonly k3s: Server;
}

const secondsSince = (startedAtMs: number) => Math.round((performance.now() - startedAtMs) / 1000);

function standinWorkerContainer(image: string, home: string): GenericContainer {
  return new GenericContainer(image)
    .withBindMounts([
      { source: home, target: '/etc/k3s-daas' },
      { source: projectRoot, target: projectRoot, mode: 'ro' },
    ])
    .withEnvironment({
      K3S_STANDIN_NODE: NODE,
      K3S_STANDIN_SPEED: '10',
      K3S_STANDIN_CONTAINERD_ADDRESS: '/run/containerd.sock',
      K3S_STANDIN_PODS: '2',
    });
}

/** No root, no capabilities, nothing to write but what is mounted. */
class HardenedContainer extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.hostConfig.CapDrop = ['ALL'];
    this.hostConfig.SecurityOpt = ['no-new-privileges'];
  }
}

const devnetContainer = (image: string) =>
  new HardenedContainer(image).withWaitStrategy(Wait.forLogMessage('devnet.ready'));

/** A validator, a full node and a faucet, as `sui start` makes them. */
const suiContainer = (image: string) =>
  new GenericContainer(image)
    .withCommand(['sui', 'start', '--force-regenesis', '--with-faucet=0.0.0.0:9123'])
    .withWaitStrategy(Wait.forSuccessfulCommand('true'));

async function startChain(
  life: Lifetime,
  { images, network, directory }: Place,
  sui: string | undefined,
): Promise<Chain> {
  const container = await (sui === undefined ? devnetContainer(images.devnet) : suiContainer(sui))
    .withNetwork(network)
    .withNetworkAliases('chain')
    .start();
  life.defer('the chain', async () => void (await container.stop()));
  const address = container.getIpAddress(network.getName());
  const url = `http://${address}:9000`;
  const faucetUrl = sui === undefined ? url : `http://${address}:9123`;
  if (sui !== undefined) await until('the faucet', async () => (await fetch(faucetUrl)).ok || undefined);
  const faucet = async () => {
    const keypair = new Ed25519Keypair();
    const secretKey = keypair.getSecretKey();
    const request = { FixedAmountRequest: { recipient: keypair.toSuiAddress() } };
    const headers = { 'content-type': 'application/json' };
    const { ok } = await fetch(`${faucetUrl}/v2/gas`, {
      method: 'POST',
      headers,
      body: JSON.stringify(request),
    });
    if (!ok) throw new Error(`the faucet of ${faucetUrl} gave nothing`);
    return { ...testWallet(secretKey, 'a test'), secretKey };
  };
  const [admin, first, second] = [await faucet(), await faucet(), await faucet()];
  const { deployment, client } = await deployCluster({
    url,
    operator: admin,
    build: await readContractBuild(),
    allowInsecure: true,
    settings: {
      slashers: [first.address, second.address],
      slashThreshold: 2n,
      unbondingMs: 600_000n,
      proposalLifeMs: 60_000n,
    },
  });
  await writeDeployment(join(directory, 'deployment.json'), deployment);
  return { chain: { container }, client, deployment, admin, slashers: [first, second], faucet };
}

/** `gateway setup` in a container, and its keys on the chain. */
async function setUpGateway({ images, network, directory, k3s, client, admin }: Parts): Promise<void> {
  const home = join(directory, 'gateway');
  await mkdir(home, { mode: 0o700 });
  const put = async (name: string, text: string) => {
    await writeFile(join(home, name), text, { mode: 0o600 });
    await chown(join(home, name), GATEWAY_USER, GATEWAY_USER);
  };
  await chown(home, GATEWAY_USER, GATEWAY_USER);
  await put('deployment.json', await readFile(join(directory, 'deployment.json'), 'utf8'));
  await put('server-ca.crt', await readFile(k3s.caFile, 'utf8'));
  await put('admin.kubeconfig', await readFile(k3s.kubeconfig, 'utf8'));
  await put('k3s-daas.json', JSON.stringify(gatewaySettings(k3s.url)));
  const settings = ['--config', `${GATEWAY_HOME}/k3s-daas.json`];
  const lines: string[] = [];
  const setup: StartedTestContainer = await new HardenedContainer(images.gateway)
    .withNetwork(network)
    .withBindMounts([{ source: home, target: GATEWAY_HOME }])
    .withCommand([
      'setup',
      ...settings,
      '--admin-kubeconfig',
      `${GATEWAY_HOME}/admin.kubeconfig`,
      '--yes',
      '--json',
    ])
    .withLogConsumer((stream) => stream.on('data', (line: unknown) => lines.push(String(line))))
    .withWaitStrategy(Wait.forOneShotStartup())
    .start();
  const made = await until('what gateway setup made', async () =>
    lines.find((line) => line.includes('"tlsPin"')),
  ).catch((error: unknown) => {
    throw new Error(`gateway setup: ${lines.join('\n')}`, { cause: error });
  });
  await setup.stop();
  await rm(join(home, 'admin.kubeconfig'));
  const { tlsPin, signingKey } = JSON.parse(made) as { tlsPin: string; signingKey: string };
  const { gatewayId } = await operations.addGateway.execute(
    { client, wallet: admin },
    {
      url: 'https://gateway:8443',
      attestationKind: 'none',
      measurement: new Uint8Array(),
      tier: 'basic',
      tlsPins: [Buffer.from(tlsPin, 'hex')],
      signingKey: Buffer.from(signingKey, 'hex'),
    },
  );
  await put('k3s-daas.json', JSON.stringify(gatewaySettings(k3s.url, gatewayId)));
}
