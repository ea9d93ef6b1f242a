import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spkiPin } from '#api';
import { Lifetime, Secret, systemClock } from '#base';
import type { GatewayEntry } from '#domain';
import { hashNodePassword } from '#seal';
import { addKey } from '#state';
import { FakeChain, FakeKubernetes, type LogRecord, RecordingLog } from '#testing';
import { type ClientCa, newClientCa } from '../../src/gateway/client-ca.fixture.ts';
import type { RunnableGatewayConfig } from '../../src/gateway/config.ts';
import { type RunningGateway, startGateway } from '../../src/gateway/gateway.ts';
import type { GatewayOptions } from '../../src/gateway/gateway-parts.ts';
import { CLUSTER_ID, GATEWAY_ID, SECOND_GATEWAY_ID, STAKER } from '../../src/gateway/ids.fixture.ts';
import { type Link, linkTo } from '../../src/gateway/link.fixture.ts';
import { settingsIn } from '../../src/gateway/settings.fixture.ts';
import { makeTls } from '../../src/gateway/tls.fixture.ts';
import { type EtcdServer, startEtcd } from '../state/etcd-server.ts';
import { type Wire, wireTo } from '../state/wire.ts';
import { watchNodes } from './node-watch.ts';
import { type HostFacts, simulatedKey } from './simulated-host.ts';

export interface TwoGatewaysOptions {
  readonly workers: number;
  readonly leaseSeconds: number;
  readonly heartbeatIntervalMs: number;
  /** Each worker comes from an address of its own, in 127.0.0.0/8. */
  readonly haveAddresses: boolean;
  /** Further options of both, such as one that takes no notice of a busy machine. */
  readonly options?: Partial<GatewayOptions>;
}

/** A gateway, and what it can be cut off from. */
export interface CuttableGateway {
  readonly id: string;
  readonly gateway: RunningGateway;
  readonly logged: readonly LogRecord[];
  readonly stateDir: string;
  readonly etcd: Wire;
  readonly cluster: Link;
  readonly front: Wire;
}

const password = new Secret('0123456789abcdef0123456789abcdef');
const kubeletRenewsEveryMs = 10_000;
const stakeMist = 1_000n;

/** Two whole gateways on one sealed state in a real etcd; the cluster and the chain are in memory, and the time is the real one. */
export class TwoGateways implements AsyncDisposable {
  readonly kubernetes = new FakeKubernetes(systemClock);
  readonly chain = new FakeChain({ clock: systemClock, clusterId: CLUSTER_ID, staker: STAKER });
  readonly gateways: CuttableGateway[] = [];
  /** What becomes of the Nodes. */
  readonly nodes = watchNodes(this.kubernetes);
  readonly #options: TwoGatewaysOptions;
  readonly #clientCa: ClientCa;
  readonly #life = new Lifetime();

  private constructor(options: TwoGatewaysOptions, clientCa: ClientCa) {
    this.#options = options;
    this.#clientCa = clientCa;
    this.kubernetes.clientCa = clientCa.certificate;
  }

  static async start(options: TwoGatewaysOptions): Promise<TwoGateways> {
    const both = new TwoGateways(options, await newClientCa());
    try {
      await both.#start();
    } catch (error) {
      await both[Symbol.asyncDispose]();
      throw error;
    }
    return both;
  }

  async #start(): Promise<void> {
    const life = this.#life;
    const etcd = life.use('etcd', await startEtcd());
    const directory = await mkdtemp(join(tmpdir(), 'two-gateways-'));
    life.defer('the directory', () => rm(directory, { recursive: true, force: true }));
    const keys = join(directory, 'keys');
    await addKey({ file: keys }, systemClock.nowMs());
    life.defer('watching the Nodes', () => this.nodes.stop());
    for (const id of [GATEWAY_ID, SECOND_GATEWAY_ID])
      this.gateways.push(await this.#startGateway(id, { etcd, keys }));
    const every = (intervalMs: number, body: () => void) => {
      const timer = setInterval(body, intervalMs);
      life.defer('a timer', () => clearInterval(timer));
    };
    // The chain is heard at its own pace, and kubelets do not depend on a gateway.
    every(1_000, () => this.chain.report());
    every(kubeletRenewsEveryMs, () => this.#renewLeases());
  }

  async #startGateway(
    id: string,
    shared: { readonly etcd: EtcdServer; readonly keys: string },
  ): Promise<CuttableGateway> {
    const life = this.#life;
    const { workers, leaseSeconds, heartbeatIntervalMs, haveAddresses, options } = this.#options;
    const etcd = life.use('the way to etcd', await wireTo(shared.etcd.url));
    const directory = await mkdtemp(join(tmpdir(), 'gateway-'));
    life.defer('a directory', () => rm(directory, { recursive: true, force: true }));
    const tls = await makeTls();
    const state = { engine: 'etcd', keys: { file: shared.keys }, etcd: { endpoints: [etcd.url] } };
    const change = { state, heartbeatIntervalMs, admit: { maxNodes: workers + 100 } };
    const parsed = { ...(await settingsIn(directory, tls, change)), gatewayId: id };
    const config: RunnableGatewayConfig = {
      ...parsed,
      // Shorter than an operator may set it, in a test.
      state: { ...parsed.state, etcd: { ...parsed.state.etcd, leaseSeconds } },
    };
    const { chain, kubernetes } = this;
    chain.gateways = [...chain.gateways.filter((one) => isOurs(one.id)), entryOf(id, tls.cert)];
    const cluster = linkTo(kubernetes, id);
    const logged: LogRecord[] = [];
    const gateway = await startGateway({
      ...options,
      config,
      clusterId: CLUSTER_ID,
      chain,
      follower: chain,
      kubernetes: cluster.port,
      clock: systemClock,
      log: new RecordingLog(logged),
      endpoints: 2,
    });
    life.use('a gateway', gateway);
    life.defer('what hangs', () => cluster.bury());
    const front = life.use('the way in', await wireTo(gateway.publicUrl, { keepsAddress: haveAddresses }));
    return { id, gateway, logged, stateDir: config.stateDir, etcd, cluster, front };
  }

  #renewLeases(): void {
    for (const nodeId of this.nodes.names()) this.kubernetes.leases.set(nodeId, systemClock.nowMs());
  }

  /** Stakes for every worker. */
  async stakeAll(): Promise<readonly HostFacts[]> {
    const nodePasswordHash = await hashNodePassword(password);
    return Array.from({ length: this.#options.workers }, (_value, index) => {
      const nodeId = `worker-${index}`;
      const { recordId, tokenId } = this.chain.stake(nodeId, simulatedKey(nodeId).publicKey, { stakeMist });
      const address = this.#options.haveAddresses
        ? `127.1.${Math.floor(index / 256)}.${index % 256}`
        : '127.0.0.1';
      const gateways = this.chain.gateways.map((entry) => ({ ...entry, url: this.#urlOf(entry, address) }));
      const stake = { recordId, tokenId, stakeMist };
      return { nodeId, wallet: STAKER, stake, gateways, nodePasswordHash };
    });
  }

  #urlOf({ id }: GatewayEntry, address: string): string {
    const front = this.gateways.find((one) => one.id === id)?.front.url ?? '';
    return `https://${address}:${new URL(front).port}`;
  }

  /** The unmodified agent with its first credential; resolves with the certificates that it writes. */
  async join(nodeId: string, token: Secret): Promise<readonly string[]> {
    const certificate = await this.kubernetes.claim(nodeId, token.reveal(), password);
    const node = certificate === 200 ? this.kubernetes.createNodeAs(nodeId) : 0;
    if (node !== 201) throw new Error(`${nodeId} could not join: ${certificate}, ${node}`);
    this.kubernetes.leases.set(nodeId, systemClock.nowMs());
    return this.#clientCa.agent(nodeId);
  }

  /** Who leads, by its own word; `except` is not asked. */
  async leader(except?: CuttableGateway): Promise<CuttableGateway | undefined> {
    for (const one of this.gateways) {
      if (one === except) continue;
      const checks = await one.gateway.health();
      if (checks.some(({ name, detail }) => name === 'lead' && detail === 'this gateway leads')) return one;
    }
    return undefined;
  }

  /** What `kill -9` leaves: nothing goes in or out any more, and whoever connects is refused. */
  async strike({ etcd, cluster, front }: CuttableGateway): Promise<void> {
    cluster.cut();
    etcd.cut();
    await front[Symbol.asyncDispose]();
  }

  /** How many lines of each kind are in its audit file. */
  async audited({ stateDir }: CuttableGateway): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {};
    for (const line of (await readFile(join(stateDir, 'audit.jsonl'), 'utf8')).trim().split('\n')) {
      const { event } = JSON.parse(line) as { event: string };
      counts[event] = (counts[event] ?? 0) + 1;
    }
    return counts;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#life.close();
  }
}

const isOurs = (id: string) => [GATEWAY_ID, SECOND_GATEWAY_ID].includes(id);

function entryOf(id: string, cert: string): GatewayEntry {
  return {
    id,
    url: 'https://127.0.0.1:1',
    tlsPins: [spkiPin(cert)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32),
    tier: 'basic',
    isLive: true,
  };
}
