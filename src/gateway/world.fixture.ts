import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as requestPlain } from 'node:http';
import { type Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGatewayConnector, spkiPin } from '#api';
import { Secret } from '#base';
import type { ClusterPort, GatewayEntry } from '#domain';
import type { GatewayConnection, HeartbeatReply, Registration } from '#plugin';
import { createProofSigner, hashNodePassword, type NodeKey, nodeKeyFromSeed, type ProofSigner } from '#seal';
import { FakeChain, FakeClock, FakeCluster, type LogRecord, RecordingLog, settled } from '#testing';
import { GatewayConfig, type RunnableGatewayConfig } from './config.ts';
import { type RunningGateway, startGateway } from './gateway.ts';
import { CLUSTER_ID, GATEWAY_ID, STAKER } from './ids.fixture.ts';
import { testTls } from './tls.fixture.ts';

/** A gateway with real doors, a chain and a cluster in memory, and a clock turned by hand. */
export class World implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly chain = new FakeChain({ clock: this.clock, clusterId: CLUSTER_ID, staker: STAKER });
  readonly cluster = new FakeCluster(this.clock);
  readonly logged: LogRecord[] = [];
  readonly #log = new RecordingLog(this.logged);
  readonly directory: string;
  config: RunnableGatewayConfig;
  readonly tls: { cert: string; key: string };
  gateway: RunningGateway | undefined;
  #link: Link | undefined;
  readonly #killed: Array<{ readonly gateway: RunningGateway; readonly link: Link }> = [];

  private constructor(directory: string, config: RunnableGatewayConfig, tls: { cert: string; key: string }) {
    this.directory = directory;
    this.config = config;
    this.tls = tls;
  }

  static async create(change: Partial<Record<keyof GatewayConfig, unknown>> = {}): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'gateway-'));
    const tls = await testTls();
    const file = async (name: string, content: string) => {
      await writeFile(join(directory, name), content, { mode: 0o600 });
      return join(directory, name);
    };
    const config = GatewayConfig.parse({
      listen: { host: '127.0.0.1', port: 0 },
      health: { port: 0 },
      tls: { certFile: await file('tls.crt', tls.cert), keyFile: await file('tls.key', tls.key) },
      stateDir: join(directory, 'state'),
      server: 'https://k3s.example:6443',
      serverCaFile: await file('server-ca.crt', tls.cert),
      diskReserveBytes: 4_096,
      ...change,
    });
    return new World(directory, { ...config, gatewayId: GATEWAY_ID }, tls);
  }

  static async start(change: Partial<Record<keyof GatewayConfig, unknown>> = {}): Promise<World> {
    const world = await World.create(change);
    await world.startGateway();
    return world;
  }

  async startGateway(): Promise<RunningGateway> {
    this.chain.gateways = [this.entry('https://127.0.0.1:1')];
    const link = linkTo(this.cluster);
    this.#link = link;
    const gateway = await startGateway({
      config: this.config,
      clusterId: CLUSTER_ID,
      chain: this.chain,
      follower: this.chain,
      cluster: link.port,
      clock: this.clock,
      log: this.#log,
      random: () => 0.5,
    });
    this.gateway = gateway;
    await settled();
    return gateway;
  }

  async stopGateway(): Promise<void> {
    await this.gateway?.[Symbol.asyncDispose]();
    this.gateway = undefined;
  }

  /** A new process on the same state; the chain asks for a full pass, as it does after a start. */
  async restartGateway(): Promise<void> {
    await this.stopGateway();
    // Time passes while nobody looks, so that proofs of the earlier life are told apart.
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
    const stateDir = `${config.stateDir}-${this.#killed.length}`;
    cpSync(config.stateDir, stateDir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    this.config = { ...config, stateDir };
  }

  entry(url = this.gateway?.publicUrl ?? ''): GatewayEntry {
    return {
      id: GATEWAY_ID,
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
    await rm(this.directory, { recursive: true, force: true });
  }
}

interface Link {
  readonly port: ClusterPort;
  /** Calls neither arrive nor come back. */
  cut(): void;
  /** What hangs fails at last, so that it can be cleaned up. */
  bury(): void;
}

/** One gateway's way to the cluster. */
function linkTo(cluster: FakeCluster): Link {
  const grave = Promise.withResolvers<never>();
  grave.promise.catch(() => undefined);
  let isCut = false;
  const port = new Proxy(cluster, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return async (...given: unknown[]): Promise<unknown> => {
        if (isCut) return grave.promise;
        const answer: unknown = await Promise.race([Reflect.apply(member, target, given), grave.promise]);
        return isCut ? grave.promise : answer;
      };
    },
  });
  return {
    port,
    cut: () => {
      isCut = true;
    },
    bury: () => grave.reject(new Error('this gateway was killed')),
  };
}

export function newKey(): NodeKey {
  return nodeKeyFromSeed(new Secret(randomBytes(32).toString('hex')));
}

/** A worker's host as the gateway sees it: the real client, the real proof. */
export class FakeWorker {
  readonly world: World;
  readonly nodeId: string;
  readonly staker: string;
  readonly key: NodeKey;
  readonly signer: ProofSigner;
  password = new Secret(randomBytes(16).toString('hex'));
  recordId = '';
  tokenId = '';
  registration: Registration | undefined;
  sequence = 0;
  #hashed: { readonly password: Secret; readonly hash: Promise<string> } | undefined;

  constructor(world: World, nodeId: string, staker: string, key: NodeKey) {
    this.world = world;
    this.nodeId = nodeId;
    this.staker = staker;
    this.key = key;
    this.signer = createProofSigner(nodeId, key);
  }

  stake(options: Parameters<FakeChain['stake']>[2] = {}): this {
    const { recordId, tokenId } = this.world.chain.stake(this.nodeId, this.key.publicKey, {
      staker: this.staker,
      ...options,
    });
    this.recordId = recordId;
    this.tokenId = tokenId;
    return this;
  }

  connection(): GatewayConnection {
    const { clock } = this.world;
    return createGatewayConnector({ signer: this.signer, clock, timeoutMs: 5_000 }).connect(
      this.world.entry(),
    );
  }

  async register(signal?: AbortSignal): Promise<Registration> {
    await settled();
    await using connection = this.connection();
    const challenge = await connection.challenge({ nodeId: this.nodeId, staker: this.staker });
    const registration = await connection.register(
      {
        challenge,
        sealTokenId: this.tokenId,
        nodePasswordHash: await this.#passwordHash(),
        host: { os: 'linux' },
      },
      signal,
    );
    this.registration = registration;
    this.sequence = 0;
    await settled();
    return registration;
  }

  /** After its Node has gone: when k3s has swept the Node's password too. */
  async comeBack(): Promise<Registration> {
    await this.world.pass(3_000);
    return this.register();
  }

  /** Registers while time passes, for what the gateway itself waits for. */
  async registerInTime(): Promise<Registration> {
    const registered = this.register();
    let isDone = false;
    const done = registered.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    const { clock } = this.world;
    // The loops of the gateway sleep for two seconds at most: whoever sleeps longer is the admission.
    while (!isDone && !clock.isSleepingFor(2_500)) await Promise.race([done, settled(1)]);
    if (!isDone) await clock.advance(3_000);
    return registered;
  }

  /** scrypt is slow on purpose. */
  #passwordHash(): Promise<string> {
    if (this.#hashed?.password !== this.password)
      this.#hashed = { password: this.password, hash: hashNodePassword(this.password) };
    return this.#hashed.hash;
  }

  /** The unmodified agent: credential and password at the supervisor, then its Node. */
  async join(): Promise<{ certificate: number; node: number }> {
    const token = this.registration?.join?.token.reveal() ?? '';
    const certificate = await this.world.cluster.claim(this.nodeId, token, this.password);
    const node = certificate === 200 ? this.world.cluster.createNodeAs(this.nodeId) : 0;
    await settled();
    return { certificate, node };
  }

  async heartbeat(
    change: { incarnation?: number; sequence?: number; agentState?: 'ready' | 'starting' } = {},
  ): Promise<HeartbeatReply> {
    this.sequence += 1;
    await using connection = this.connection();
    const reply = await connection.heartbeat({
      sealTokenId: this.tokenId,
      incarnation: change.incarnation ?? this.registration?.incarnation ?? 1,
      sequence: change.sequence ?? this.sequence,
      stakeStatus: 'active',
      stakeMist: 1_000n,
      agentState: change.agentState ?? 'ready',
      runningPods: 3,
      resourceUsage: { cpuPercent: 1, memoryPercent: 2, diskPercent: 3 },
    });
    await settled();
    return reply;
  }
}

export interface RawReply {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
  readonly json: Record<string, unknown>;
}

/** A request as anybody may make one, byte for byte. */
export function raw(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    body?: string | Buffer;
    localAddress?: string;
    agent?: Agent;
  } = {},
): Promise<RawReply> {
  const { promise, resolve, reject } = Promise.withResolvers<RawReply>();
  const outgoing = request(
    url,
    {
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
      ...(options.localAddress !== undefined && { localAddress: options.localAddress }),
      rejectUnauthorized: false,
      agent: options.agent ?? false,
    },
    (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body,
          json: body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {},
        });
      });
    },
  );
  outgoing.once('error', reject);
  outgoing.end(options.body);
  return promise;
}
