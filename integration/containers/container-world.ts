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
import { type Lifetime, Secret, systemClock } from '#base';
import {
  type ChainClient,
  createChainClient,
  type Deployment,
  defaultSettings,
  openNetwork,
  openWallet,
  operations,
  readContractBuild,
  type Wallet,
  writeDeployment,
} from '#chain';
import type { ImageNames } from '../../scripts/images/images.ts';
import { KubernetesApi, until } from '../world/kubernetes.ts';
import { projectRoot } from '../world/program.ts';
import { LoggedContainer } from './logged-container.ts';

const SUI = 1_000_000_000n;
/** The user of the gateway's image. */
const GATEWAY_USER = 65_532;
const GATEWAY_HOME = '/var/lib/k3s-daas-gateway';
/** In the container of a worker: its Node runs the stand-in of the agent. */
const NODE = `/usr/local/lib/k3s-daas/node_modules/node-linux-${process.arch}/bin/node`;
const STANDIN = join(projectRoot, 'integration', 'standin');

/**
 * A whole system in containers on one Docker network: dev chain and gateway from their images, workers from the image of a test, and
 * the stand-ins of k3s from the clone, which is mounted.
 */
export class ContainerWorld {
  readonly network: StartedNetwork;
  readonly client: ChainClient;
  readonly kubernetes: KubernetesApi;
  gateway!: LoggedContainer;
  readonly #parts: Parts;

  private constructor(parts: Parts & { readonly kubernetes: KubernetesApi }) {
    this.#parts = parts;
    this.network = parts.network;
    this.client = parts.client;
    this.kubernetes = parts.kubernetes;
  }

  static async start(images: ImageNames, life: Lifetime): Promise<ContainerWorld> {
    const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-containers-'));
    life.defer('directory', () => rm(directory, { recursive: true, force: true }));
    const network = await new Network().start();
    life.defer('the network', async () => void (await network.stop()));
    const [chain, k3s] = await Promise.all([
      startChain(life, { images, network, directory }),
      startServer(life, { images, network, directory }),
    ]);
    const kubernetes = await KubernetesApi.fromKubeconfig(k3s.kubeconfig);
    life.defer('the Kubernetes client', () => kubernetes[Symbol.dispose]());
    const parts = { images, network, directory, life, k3s, kubernetes, ...chain };
    const world = new ContainerWorld(parts);
    await setUpGateway(parts);
    await world.startGateway(images.gateway);
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
    const { directory, network, life, images, faucet } = this.#parts;
    const home = join(directory, nodeId);
    await mkdir(home, { mode: 0o700 });
    const wallet = await faucet();
    const { termsFingerprint } = await this.client.cluster();
    await writeFile(join(home, 'wallet.key'), wallet.secretKey, { mode: 0o600 });
    await copyFile(join(directory, 'deployment.json'), join(home, 'deployment.json'));
    await writeFile(join(home, 'k3s.yaml'), '{}\n');
    await writeFile(join(home, 'k3s-daas.json'), JSON.stringify(workerSettings(nodeId, termsFingerprint)), {
      mode: 0o600,
    });
    return LoggedContainer.start(
      new GenericContainer(images.worker)
        .withNetwork(network)
        .withBindMounts([
          { source: home, target: '/etc/k3s-daas' },
          { source: projectRoot, target: projectRoot, mode: 'ro' },
        ])
        .withEnvironment({
          K3S_STANDIN_NODE: NODE,
          K3S_STANDIN_SPEED: '10',
          K3S_STANDIN_CONTAINERD_ADDRESS: '/run/containerd.sock',
          K3S_STANDIN_PODS: '2',
        })
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

  becomes(name: string, isReady: boolean | undefined): Promise<true> {
    const what = isReady === undefined ? 'gone' : isReady ? 'Ready' : 'not Ready';
    return until(`Node ${name} to be ${what}`, async () =>
      (await this.isReady(name)) === isReady ? true : undefined,
    );
  }
}

interface Place {
  readonly images: ImageNames;
  readonly network: StartedNetwork;
  readonly directory: string;
}

interface Chain {
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly admin: Wallet;
  readonly slashers: readonly [Wallet, Wallet];
  /** A new account with coins. */
  readonly faucet: () => Promise<Wallet & { readonly secretKey: string }>;
}

interface Server {
  readonly url: string;
  readonly kubeconfig: string;
  readonly caFile: string;
}

interface Parts extends Place, Chain {
  readonly life: Lifetime;
  readonly k3s: Server;
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

async function startChain(life: Lifetime, { images, network, directory }: Place): Promise<Chain> {
  const container = await new HardenedContainer(images.devnet)
    .withNetwork(network)
    .withNetworkAliases('chain')
    .withWaitStrategy(Wait.forLogMessage('devnet.ready'))
    .start();
  life.defer('the chain', async () => void (await container.stop()));
  const url = `http://${container.getIpAddress(network.getName())}:9000`;
  const faucet = async () => {
    const keypair = new Ed25519Keypair();
    const secretKey = keypair.getSecretKey();
    const request = { FixedAmountRequest: { recipient: keypair.toSuiAddress() } };
    const headers = { 'content-type': 'application/json' };
    const { ok } = await fetch(`${url}/v2/gas`, { method: 'POST', headers, body: JSON.stringify(request) });
    if (!ok) throw new Error(`the faucet of ${url} gave nothing`);
    return { ...openWallet({ key: new Secret(secretKey), origin: 'a test' }), secretKey };
  };
  const [admin, first, second] = [await faucet(), await faucet(), await faucet()];
  const allowInsecure = true;
  const { endpoints, chainId } = await openNetwork([url], { clock: systemClock, allowInsecure });
  const publisher = { endpoints, wallet: admin };
  const { packageId } = await operations.publish.execute(publisher, { build: await readContractBuild() });
  const { clusterId } = await operations.createCluster.execute(publisher, {
    packageId,
    settings: {
      ...defaultSettings(admin.address),
      slashers: [first.address, second.address],
      slashThreshold: 2n,
      unbondingMs: 600_000n,
      proposalLifeMs: 60_000n,
    },
  });
  const deployment = { chainId, packageId, clusterId };
  await writeDeployment(join(directory, 'deployment.json'), deployment);
  const client = createChainClient({ endpoints: [url], deployment, clock: systemClock, allowInsecure });
  return { client, deployment, admin, slashers: [first, second], faucet };
}

async function startServer(life: Lifetime, { images, network, directory }: Place): Promise<Server> {
  const data = join(directory, 'server');
  await mkdir(data);
  const main = join(STANDIN, 'server', 'main.ts');
  // Its certificate is for the address that it listens on.
  const line = `exec ${NODE} --conditions=source ${main} server --data-dir ${data} --bind-address "$(hostname -i)" --node-grace-ms 8000`;
  const container = await new GenericContainer(images.worker)
    .withNetwork(network)
    .withBindMounts([
      { source: data, target: data },
      { source: projectRoot, target: projectRoot, mode: 'ro' },
    ])
    .withEntrypoint(['/bin/sh', '-c'])
    .withCommand([line])
    .withWaitStrategy(Wait.forLogMessage('k3s is up and running'))
    .start();
  life.defer('the k3s server', async () => void (await container.stop()));
  return {
    url: `https://${container.getIpAddress(network.getName())}:6443`,
    kubeconfig: join(data, 'server', 'cred', 'admin.kubeconfig'),
    caFile: join(data, 'server', 'tls', 'server-ca.crt'),
  };
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
  await put('k3s-daas.json', JSON.stringify(gatewaySettings(k3s)));
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
  await put('k3s-daas.json', JSON.stringify(gatewaySettings(k3s, gatewayId)));
}

const chainSettings = (home: string) => ({
  endpoints: ['http://chain:9000'],
  allowInsecure: true,
  deployment: `${home}/deployment.json`,
});

const gatewaySettings = ({ url }: Server, gatewayId?: string) => ({
  nodeId: 'gateway',
  chain: chainSettings(GATEWAY_HOME),
  gateway: {
    listen: { host: '0.0.0.0', port: 8443 },
    tls: { certFile: `${GATEWAY_HOME}/tls.crt`, keyFile: `${GATEWAY_HOME}/tls.key` },
    health: { host: '127.0.0.1', port: 0 },
    stateDir: `${GATEWAY_HOME}/state`,
    kubeconfig: `${GATEWAY_HOME}/kubeconfig`,
    server: url,
    serverCaFile: `${GATEWAY_HOME}/server-ca.crt`,
    heartbeatIntervalMs: 1000,
    ...(gatewayId === undefined ? {} : { gatewayId }),
  },
});

const workerSettings = (nodeId: string, acceptTerms: string) => ({
  nodeId,
  stateDir: '/etc/k3s-daas/state',
  chain: chainSettings('/etc/k3s-daas'),
  wallet: { keyFile: '/etc/k3s-daas/wallet.key' },
  stake: { amountMist: String(2n * SUI), acceptTerms },
  health: { host: '127.0.0.1', port: 0 },
  plugins: [
    { use: 'staking' },
    { use: 'registration' },
    { use: 'heartbeat' },
    { use: 'slashing', config: { intervalMs: 1000 } },
  ],
  agent: {
    binary: join(STANDIN, 'agent', 'k3s'),
    args: ['--rootless', '--config=/etc/k3s-daas/k3s.yaml', '--data-dir=/var/lib/k3s'],
    containerdAddress: '/run/containerd.sock',
  },
});
