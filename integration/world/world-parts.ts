import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { type Lifetime, Secret } from '#base';
import { type ClusterSettings, openWallet, operations, type Wallet, writeDeployment } from '#chain';
import { type ChainWorld, startChainWorld } from '../chain/chain-world.ts';
import { freePort } from './free-port.ts';
import { makeFront } from './haproxy-front.ts';
import { KubernetesApi } from './kubernetes.ts';
import { endLeftovers } from './leftovers.ts';
import { Program, runOnce } from './program.ts';
import { type K3s, startStandinK3s } from './standin-k3s.ts';

export interface WorldOptions {
  /** What the chain says of the evidence of the first gateway; none unless given. */
  readonly attestation?: Attestation;
  /** Members of the `gateway` section that differ. */
  readonly gateway?: Readonly<Record<string, unknown>>;
  /** Starts the cluster and gives the agents their machines; the stand-ins unless given. */
  readonly startK3s?: (directory: string, life: Lifetime) => Promise<K3s>;
  readonly heartbeatIntervalMs?: number;
  /** Workers reach the first gateway through a real HAProxy. */
  readonly isBehindHaproxy?: boolean;
  /** Settings of the cluster that differ. */
  readonly cluster?: Partial<ClusterSettings>;
  /** Aborts the start: what it started ends too. */
  readonly signal?: AbortSignal;
  /** Called as things become ready. */
  readonly onReady?: (event: string, facts: Readonly<Record<string, unknown>>) => void;
}

interface Attestation {
  readonly kind: string;
  readonly measurement: Uint8Array;
}

interface Named {
  readonly name?: string;
  readonly attestation?: Attestation | undefined;
}

export interface WorldParts {
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
  /** Another gateway of the cluster, with keys and a state of its own: set up, on the chain, and running. */
  readonly addGateway: (name: string, attestation?: Attestation) => Promise<GatewayParts>;
}

/** What the steps of a start share. */
interface Start {
  readonly life: Lifetime;
  readonly options: WorldOptions;
  readonly onReady: NonNullable<WorldOptions['onReady']>;
  readonly directory: string;
  readonly runtimeDir: string;
}

/** Starts the chain, the cluster and the gateway; `life` ends them, also when a later one fails to start. */
export async function startParts(life: Lifetime, options: WorldOptions): Promise<WorldParts> {
  const start = await makeDirectories(life, options);
  const { directory, runtimeDir, onReady } = start;
  const starting = (options.startK3s ?? startStandinK3s)(directory, life);
  // When the chain fails first, a later failure of k3s has no listener and would end the process.
  starting.catch(() => undefined);
  // Workers on another network must reach the chain, and that network has to be there first.
  const host = options.startK3s ? (await starting).gatewayHost : undefined;
  const chainParts = await startChain(start, host);

  const k3s = await starting;
  const kubernetes = await KubernetesApi.fromKubeconfig(k3s.kubeconfig);
  life.defer('the Kubernetes client', () => kubernetes[Symbol.dispose]());
  onReady('cluster.ready', { server: k3s.server, kubeconfig: k3s.kubeconfig });

  const gatewayParts = await startGateway(start, { ...chainParts, k3s });
  const addGateway = (name: string, attestation?: Attestation) =>
    startGateway(start, { ...chainParts, k3s }, { name, attestation });
  return { addGateway, directory, runtimeDir, kubernetes, k3s, ...chainParts, ...gatewayParts };
}

async function makeDirectories(life: Lifetime, options: WorldOptions): Promise<Start> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-'));
  const runtimeDir = await mkdtemp('/dev/shm/k3s-daas-');
  life.defer('directories', async () => {
    endLeftovers(directory);
    await rm(runtimeDir, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  });
  return { life, options, onReady: options.onReady ?? (() => undefined), directory, runtimeDir };
}

type ChainParts = Pick<WorldParts, 'chain' | 'slashers' | 'deploymentFile'>;

/** A chain with the contracts on it and two funded slashers; `host` is where it listens, loopback if undefined. */
async function startChain(
  { life, options, directory, onReady }: Start,
  host: string | undefined,
): Promise<ChainParts> {
  const slasherKeys = [Ed25519Keypair.generate(), Ed25519Keypair.generate()];
  const chain = life.use(
    'the chain',
    await startChainWorld(
      {
        slashers: slasherKeys.map((key) => key.toSuiAddress()),
        slashThreshold: 2n,
        unbondingMs: 600_000n,
        proposalLifeMs: 60_000n,
        ...options.cluster,
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
  return { chain, slashers, deploymentFile };
}

type GatewayParts = Pick<
  WorldParts,
  'gateway' | 'gatewayConfigFile' | 'gatewayUrl' | 'gatewayId' | 'gatewayCaFile'
>;

/** Sets the gateway up, puts it on the chain and runs it, as an operator does. */
async function startGateway(
  { life, options, directory, onReady }: Start,
  { chain, deploymentFile, k3s }: Pick<WorldParts, 'chain' | 'deploymentFile' | 'k3s'>,
  { name = 'gateway', attestation = options.attestation }: Named = {},
): Promise<GatewayParts> {
  const port = await freePort();
  const gatewayDir = join(directory, name);
  await mkdir(gatewayDir, { mode: 0o700 });
  const gatewayHost = k3s.gatewayMachine?.host ?? k3s.gatewayHost;
  const gatewayUrl = `https://${gatewayHost}:${port}`;
  const gatewayConfigFile = join(gatewayDir, 'k3s-daas.json');
  const gatewayCaFile = join(gatewayDir, 'tls.crt');
  const keyFile = join(gatewayDir, 'tls.key');
  const front = options.isBehindHaproxy ? await makeFront(life, port) : undefined;
  const config = (gatewayId?: string) => ({
    nodeId: 'gateway',
    chain: chainSettings(chain, deploymentFile),
    gateway: {
      listen: { host: gatewayHost, port, ...(front && { proxySocket: front.socketPath }) },
      tls: { certFile: gatewayCaFile, keyFile },
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
  const keys = await setUpGateway(directory, gatewayConfigFile, k3s.kubeconfig);
  const { gatewayId } = await operations.addGateway.execute(chain.actor, {
    url: gatewayUrl,
    attestationKind: attestation?.kind ?? 'none',
    measurement: attestation?.measurement ?? new Uint8Array(),
    tier: 'basic',
    ...keys,
  });
  // The gateway has its id only from the chain on.
  await writeConfig(gatewayId);
  await front?.start({ certFile: gatewayCaFile, keyFile });
  const gateway = runGateway(directory, gatewayConfigFile, k3s.gatewayMachine?.command);
  life.defer(`the first life of ${name}`, () => gateway.stop());
  await gateway.event('gateway.ready');
  onReady('gateway.ready', { url: gatewayUrl, gatewayId, pid: gateway.pid, caFile: gatewayCaFile });
  return { gateway, gatewayConfigFile, gatewayUrl, gatewayId, gatewayCaFile };
}

/** Runs `gateway setup`; returns the keys it made, as the chain takes them. */
async function setUpGateway(directory: string, configFile: string, adminKubeconfig: string) {
  const setup = await runOnce({
    name: 'gateway setup',
    args: [
      'gateway',
      'setup',
      '--config',
      configFile,
      '--admin-kubeconfig',
      adminKubeconfig,
      '--yes',
      '--json',
    ],
    logFile: join(directory, 'gateway-setup.log'),
  });
  const made = setup.lines.find((line) => 'tlsPin' in line);
  if (setup.code !== 0 || !made) throw new Error(`gateway setup ended with ${setup.code}:\n${setup.tail}`);
  return {
    tlsPins: [Buffer.from(String(made.tlsPin), 'hex')],
    signingKey: Buffer.from(String(made.signingKey), 'hex'),
  };
}

export function runGateway(
  directory: string,
  configFile: string,
  command?: readonly [string, ...string[]],
): Program {
  return new Program({
    name: 'gateway',
    ...(command && { command }),
    args: ['gateway', 'run', '--config', configFile, '--json'],
    logFile: join(directory, 'gateway.log'),
  });
}

/** The machines of a real k3s reach the chain by a network of their own, by plain HTTP. */
export const chainSettings = ({ url }: ChainWorld, deployment: string) => ({
  endpoints: [url],
  deployment,
  ...(new URL(url).hostname === '127.0.0.1' ? {} : { allowInsecure: true }),
});
