import { cpSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as requestPlain } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spkiPin } from '#api';
import type { GatewayEntry } from '#domain';
import type { NodeKey } from '#seal';
import { FakeChain, FakeClock, FakeKubernetes, type LogRecord, RecordingLog, settled } from '#testing';
import type { GatewayConfig, RunnableGatewayConfig } from './config.ts';
import { FakeWorker, newKey } from './fake-worker.fixture.ts';
import { type RunningGateway, startGateway } from './gateway.ts';
import type { GatewayOptions } from './gateway-parts.ts';
import { type Haproxy, portForHaproxy, startHaproxy } from './haproxy.fixture.ts';
import { CLUSTER_ID, GATEWAY_ID, SECOND_GATEWAY_ID, STAKER } from './ids.fixture.ts';
import { type Link, linkTo } from './link.fixture.ts';
import { settingsIn } from './settings.fixture.ts';
import { testTls } from './tls.fixture.ts';

/** Set for the project `haproxy`: workers reach each gateway that chooses no place of its own through a real HAProxy. */
const isBehindHaproxy = process.env.K3S_DAAS_TEST_FRONT === 'haproxy';

/** A gateway with real doors, a chain and a cluster in memory, and a clock turned by hand. */
export class World implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly chain: FakeChain;
  readonly kubernetes: FakeKubernetes;
  readonly logged: LogRecord[] = [];
  readonly log = new RecordingLog(this.logged);
  readonly directory: string;
  config: RunnableGatewayConfig;
  readonly tls: { cert: string; key: string };
  gateway: RunningGateway | undefined;
  /** What the chain answers counts as signed by validators. */
  isProven = false;
  /** How many full nodes show nothing newer; of one alone the age of a proof counts. */
  endpointsAgreed = 2;
  /** Further options of the gateway. */
  options: Partial<GatewayOptions> = {};
  #link: Link | undefined;
  #haproxy: Haproxy | undefined;
  readonly #killed: Array<{ readonly gateway: RunningGateway; readonly link: Link }> = [];

  private constructor(
    directory: string,
    config: RunnableGatewayConfig,
    tls: { cert: string; key: string },
    beside?: World,
  ) {
    this.clock = beside?.clock ?? new FakeClock();
    const { clock } = this;
    this.chain = beside?.chain ?? new FakeChain({ clock, clusterId: CLUSTER_ID, staker: STAKER });
    this.kubernetes = beside?.kubernetes ?? new FakeKubernetes(clock);
    this.directory = directory;
    this.config = config;
    this.tls = tls;
  }

  /** Another gateway of the same cluster and chain, with a state of its own. */
  static async beside(other: World, gatewayId = SECOND_GATEWAY_ID): Promise<World> {
    const world = await World.create({}, other, gatewayId);
    await world.startGateway();
    return world;
  }

  static async create(
    change: Partial<Record<keyof GatewayConfig, unknown>> = {},
    beside?: World,
    gatewayId = beside ? SECOND_GATEWAY_ID : GATEWAY_ID,
  ): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'gateway-'));
    const tls = await testTls();
    const config = await settingsIn(directory, tls, { diskReserveBytes: 4_096, ...change });
    return new World(directory, { ...config, gatewayId }, tls, beside);
  }

  static async start(change: Partial<Record<keyof GatewayConfig, unknown>> = {}): Promise<World> {
    const world = await World.create(change);
    await world.startGateway();
    return world;
  }

  async startGateway(): Promise<RunningGateway> {
    if (isBehindHaproxy && this.config.listen.port === 0) await this.#putBehindHaproxy();
    const others = this.chain.gateways.filter(({ id }) => id !== this.config.gatewayId);
    this.chain.gateways = [...others, this.entry('https://127.0.0.1:1')];
    const link = linkTo(this.kubernetes, this.config.gatewayId);
    this.#link = link;
    const gateway = await startGateway({
      config: this.config,
      clusterId: CLUSTER_ID,
      isProven: this.isProven,
      endpointsAgreed: () => this.endpointsAgreed,
      // On a busy machine the event loop is late although the gateway has little to do.
      loopDelay: { p99Ms: () => 0, [Symbol.asyncDispose]: async () => undefined },
      ...this.options,
      chain: this.chain,
      follower: this.chain,
      kubernetes: link.port,
      clock: this.clock,
      log: this.log,
      random: () => 0.5,
    });
    this.gateway = gateway;
    await settled();
    return gateway;
  }

  async #putBehindHaproxy(): Promise<void> {
    const port = await portForHaproxy();
    const socketPath = join(this.directory, 'front.sock');
    this.config = { ...this.config, listen: { host: '127.0.0.1', port, proxySocket: socketPath } };
    this.#haproxy = await startHaproxy({
      directory: join(this.directory, 'haproxy'),
      port,
      certAndKey: this.tls.cert + this.tls.key,
      socketPath,
      // The tests turn the gateway's clock, not that of HAProxy.
      edit: (text) => text.replace('sc0_conn_rate gt 200', 'sc0_conn_rate gt 100000'),
    });
  }

  async stopGateway(): Promise<void> {
    await this.gateway?.[Symbol.asyncDispose]();
    this.gateway = undefined;
  }

  /** A new process on the same state; the chain asks for a full pass, as it does after a start. */
  async restartGateway(): Promise<void> {
    await this.stopGateway();
    // Time passes, so that proofs of the earlier life are recognised.
    await this.clock.advance(1_000);
    await this.startGateway();
  }

  /**
   * `kill -9`: from now on nothing that this life begins reaches the cluster, and the next one finds the state as it is
   * on disk at this moment.
   */
  kill(): void {
    const { gateway, config } = this;
    const link = this.#link;
    if (!gateway || !link) throw new Error('there is no gateway to kill');
    link.cut();
    this.#killed.push({ gateway, link });
    this.gateway = undefined;
    // The killed one goes on listening there until it is buried.
    rmSync(join(this.directory, 'front.sock'), { force: true });
    const stateDir = `${config.stateDir}-${this.#killed.length}`;
    cpSync(config.stateDir, stateDir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    this.config = { ...config, stateDir };
  }

  entry(url = this.gateway?.publicUrl ?? ''): GatewayEntry {
    return {
      id: this.config.gatewayId,
      url,
      tlsPins: [spkiPin(this.tls.cert)],
      attestationKind: 'none',
      measurement: new Uint8Array(),
      signingKey: new Uint8Array(32),
      tier: 'basic',
      isLive: true,
    };
  }

  worker(nodeId: string, options: { staker?: string; key?: NodeKey } = {}): FakeWorker {
    return new FakeWorker(this, nodeId, options.staker ?? STAKER, options.key ?? newKey());
  }

  /** A worker that has staked, joined and is Ready. */
  async member(nodeId: string, options: { staker?: string } = {}): Promise<FakeWorker> {
    const worker = this.worker(nodeId, options);
    worker.stake();
    await worker.register();
    await worker.join();
    await worker.heartbeat();
    return worker;
  }

  /** Time passes while the chain is heard every second. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      await this.clock.advance(Math.min(1_000, left));
      this.chain.report();
      await settled();
    }
  }

  /** One command over the operator's socket. */
  operator(path: string, body: unknown): Promise<Record<string, unknown>> {
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    const headers = { 'content-type': 'application/json' };
    const socketPath = this.gateway?.socketPath ?? '';
    const outgoing = requestPlain({ socketPath, method: 'POST', path, headers }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('end', () =>
        resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(JSON.stringify(body));
    return promise;
  }

  async audit(): Promise<Array<Record<string, unknown>>> {
    await settled();
    const text = await readFile(join(this.config.stateDir, 'audit.jsonl'), 'utf8');
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopGateway();
    for (const { gateway, link } of this.#killed) {
      link.bury();
      await gateway[Symbol.asyncDispose]();
    }
    await this.#haproxy?.[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}
