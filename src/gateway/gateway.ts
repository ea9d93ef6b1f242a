import { lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname, join } from 'node:path';
import { type Clock, ConfigurationError, DaasError, hostPort, Lifetime, type Log, messageOf } from '#base';
import type { ChainReader, ChangeFollower, ClusterPort } from '#domain';
import { closeListener, guardConnections, makeTrustedDirectory } from '#infrastructure';
import { createAdmission } from './admission.ts';
import { type Audit, openAudit } from './audit.ts';
import { createChallenges } from './challenge.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { type DiskReserve, openDiskReserve } from './disk-reserve.ts';
import { createFactCache, FACT_FRESH_MS } from './facts.ts';
import { createHealthApi, type HealthCheck } from './health-api.ts';
import { createLocks } from './locks.ts';
import { createOperatorApi } from './operator-api.ts';
import { createPublicApi } from './public-api.ts';
import { createRateLimit } from './rate-limit.ts';
import { createReconciler } from './reconciler.ts';
import { createRefusalTally, type RefusalTally } from './refusal-tally.ts';
import { openRegistry, type Registry } from './registry.ts';
import { createSelfProbe } from './self-probe.ts';
import { checkOwnEntry, joinTokenHead, readTls } from './server-files.ts';
import { openSqliteStore } from './store.ts';
import { createTokenUsage, type TokenUsage } from './token-usage.ts';
import { createVerifier } from './verifier.ts';

export interface GatewayOptions {
  readonly config: RunnableGatewayConfig;
  /** The cluster object that the chain layer reads: facts of others do not count. */
  readonly clusterId: string;
  readonly chain: ChainReader;
  readonly follower: ChangeFollower;
  readonly cluster: ClusterPort;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1; for jitter, nothing secret. */
  readonly random?: () => number;
  /** How many chain endpoints are configured, for the log: this version believes one at a time. */
  readonly endpoints?: number;
  /** Shown by `/readyz` beside the checks, such as the state of the chain endpoints. */
  readonly figures?: () => Readonly<Record<string, unknown>>;
}

export interface RunningGateway extends AsyncDisposable {
  /** Where this machine reaches it. */
  readonly publicUrl: string;
  /** Where it listens: with the address of the configuration, which may be every one of the machine. */
  readonly listenUrl: string;
  readonly healthUrl: string;
  readonly socketPath: string;
  /** What `/readyz` says, check by check. */
  health(): Promise<readonly HealthCheck[]>;
  /** Resolves when `/readyz` answers 200 for the first time; rejects when the gateway stops before. */
  untilReady(): Promise<void>;
  /** Resolves when it was closed; rejects when it cannot go on (another chain, no such cluster). */
  readonly ended: Promise<void>;
}

/**
 * Starts a gateway: state, checks against the chain, reconciliation, then the doors. When it resolves, the public port,
 * the health port and the operator's socket listen.
 * @throws the errors of its parts; a `ConfigurationError` for what only a human can set right.
 */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const life = new Lifetime();
  try {
    return await start(options, life);
  } catch (error) {
    await life.close().catch((failure: unknown) => {
      options.log.error('Closing what was begun has failed', { detail: messageOf(failure) });
    });
    throw error;
  }
}

async function start(options: GatewayOptions, life: Lifetime): Promise<RunningGateway> {
  const { config, clusterId, chain, follower, cluster, clock, log } = options;
  const { random = Math.random, endpoints = 1 } = options;
  const startedAtMs = clock.monotonicMs();
  const socketPath = config.socketPath ?? join(config.stateDir, 'operator.sock');
  openDirectory(config.stateDir, 'gateway.stateDir');
  const tls = await readTls(config.tls);
  const tokenHead = await joinTokenHead(config, log);
  await checkEntry(options, tls.cert);
  await checkCluster(options);
  log.warn('One full node at a time is read: its operator can withhold changes', { endpoints });
  if (!config.taintNodes) log.warn('Staked nodes get no taint: any pod can run on a stranger’s machine');

  const store = life.use('the state file', openSqliteStore(join(config.stateDir, 'gateway.db')));
  const nowMs = () => clock.nowMs();
  const reserve = await openDiskReserve(join(config.stateDir, 'reserve'), config.diskReserveBytes);
  const registry = await openRegistry(store, reserve);
  const { heartbeats, maxFileBytes, maxFiles } = config.audit;
  const audit = life.use(
    'the audit file',
    await openAudit(join(config.stateDir, 'audit.jsonl'), nowMs, { reserve, maxFileBytes, maxFiles }),
  );
  const refusals = createRefusalTally({ audit, nowMs });
  const usage = createTokenUsage({ audit, nowMs, heartbeats });
  life.defer('the last heartbeats', () =>
    registry.flush().catch((error: unknown) => {
      log.error('The last heartbeats could not be written', { detail: messageOf(error) });
    }),
  );
  life.defer('the last audit line', async () => {
    refusals.flush({ isLast: true });
    usage.flush({ isLast: true });
    audit.record('gateway.stopped', {});
    await audit.flush();
  });

  const locks = createLocks();
  const facts = createFactCache({
    chain,
    follower,
    clusterId,
    clock,
    log,
    registry,
    random,
  });
  const reconciler = createReconciler({
    cluster,
    registry,
    facts,
    audit,
    locks,
    clock,
    random,
    log,
    cordonGraceMs: config.cordonGraceMs,
  });
  const challenges = createChallenges(config.gatewayId);
  const admission = createAdmission({
    config,
    cluster,
    chain,
    registry,
    reconciler,
    audit,
    refusals,
    locks,
    clock,
    log,
  });
  const { limits } = config;
  const verifier = createVerifier({
    facts,
    registry,
    challenges,
    audit,
    refusals,
    usage,
    clock,
    startedAtMs,
    strangers: createRateLimit({ ratePerSecond: limits.strangerRate, burst: limits.strangerBurst }),
    allStrangers: createRateLimit({ ratePerSecond: limits.lookupRate, burst: limits.lookupBurst }),
    tokens: createRateLimit({
      // Never below what the gateway itself asks for.
      ratePerSecond: Math.max(limits.tokenRate, 3_000 / config.heartbeatIntervalMs),
      burst: limits.tokenBurst,
    }),
  });

  const stop = new AbortController();
  const loops = [
    facts.follow((nodeIds) => {
      for (const nodeId of nodeIds) reconciler.settle(nodeId);
    }, stop.signal),
    reconciler.run(stop.signal),
    flushLoop({ registry, audit, refusals, usage, reserve, clock, log }, stop.signal),
  ];
  const { promise: ended, resolve: end, reject: fail } = Promise.withResolvers<void>();
  // Whoever does not look at `ended` must not be ended by it.
  ended.catch(() => undefined);
  for (const loop of loops)
    loop.catch((error: unknown) => {
      log.error('The gateway cannot go on', { detail: messageOf(error) });
      fail(error);
    });
  life.defer('the loops', async () => {
    stop.abort(stopping());
    await Promise.allSettled(loops);
  });

  const operator = createOperatorApi({ registry, reconciler, facts, audit, usage, locks, clock, log });
  const operatorConnections = guardConnections(operator.server, { most: 64 });
  life.defer('the operator’s socket', async () => {
    await closeListener(operator.server, operatorConnections, 3_000);
    await operator.close();
  });
  await listenOnSocket(operator.server, () => operator.ready(), socketPath);

  const publicServer = createPublicApi({
    config,
    tls,
    tokenHead,
    verifier,
    admission,
    challenges,
    facts,
    registry,
    reconciler,
    usage,
    clock,
    log,
    signal: stop.signal,
  });
  const { app } = publicServer;
  life.defer('the public port', () => publicServer.close());
  await app.ready();
  // Not by Fastify, which opens a second server for some hosts: nothing would guard that one.
  await listening(() => listen(app.server, config.listen), config.listen, 'gateway.listen');
  const probe = createSelfProbe({
    host: dialHost(config.listen.host),
    port: portOf(app.server),
    cert: tls.cert,
    clock,
  });

  const health = createHealthApi(healthChecks, options.figures);
  const healthConnections = guardConnections(health, { most: 64, lifeMs: 30_000 });
  life.defer('the health port', () => closeListener(health, healthConnections, 0));
  await listening(() => listen(health, config.health), config.health, 'gateway.health');
  life.defer('what is under way', () => stop.abort(stopping()));

  async function healthChecks(): Promise<readonly HealthCheck[]> {
    const port = await probe();
    const heardAtMs = facts.heardAtMs();
    const silentMs = heardAtMs === undefined ? undefined : clock.monotonicMs() - heardAtMs;
    const auditFailure = audit.failure();
    const stateFailure = registry.failure();
    const { trippedAtMs } = registry.breaker();
    const { kept, others } = publicServer.connections.figures;
    return [
      {
        name: 'port',
        isOk: port.isOk,
        detail: `${port.detail}; ${kept} connections of workers, ${others} others`,
      },
      {
        name: 'chain',
        isOk: silentMs !== undefined && silentMs < FACT_FRESH_MS,
        detail: silentMs === undefined ? 'not heard yet' : `heard ${Math.round(silentMs)} ms ago`,
      },
      {
        name: 'cluster',
        isOk: reconciler.nodes() !== undefined && reconciler.names() !== undefined,
        detail: reconciler.nodes() ? 'nodes are watched' : 'the nodes have not been listed yet',
      },
      { name: 'audit', isOk: auditFailure === undefined, detail: auditFailure ?? 'is written' },
      { name: 'state', isOk: stateFailure === undefined, detail: stateFailure ?? 'is written' },
      { name: 'disk', isOk: !reserve.isSpent(), detail: reserve.detail() },
      {
        name: 'breaker',
        isOk: trippedAtMs === undefined,
        detail: trippedAtMs === undefined ? 'at rest' : 'has tripped: see `k3s-daas gateway breaker`',
      },
    ];
  }

  async function untilReady(): Promise<void> {
    while (!(await healthChecks()).every(({ isOk }) => isOk)) await clock.sleep(200, stop.signal);
  }

  const running: RunningGateway = {
    publicUrl: `https://${hostPort(dialHost(config.listen.host), portOf(app.server))}`,
    listenUrl: `https://${hostPort(config.listen.host, portOf(app.server))}`,
    health: healthChecks,
    untilReady,
    healthUrl: `http://${hostPort(dialHost(config.health.host), portOf(health))}`,
    socketPath,
    ended,
    async [Symbol.asyncDispose]() {
      await life.close();
      end();
    },
  };
  audit.record('gateway.started', { gateway: config.gatewayId, cluster: clusterId });
  await audit.flush();
  return running;
}

function stopping(): DaasError {
  return new DaasError('DAAS_GATEWAY_STOPPING', 'the gateway is stopping', { isRetryable: true });
}

/** A chain that is away at start is no reason not to start: nodes that run have to be heard. */
async function checkEntry({ chain, config, log }: GatewayOptions, cert: string): Promise<void> {
  try {
    checkOwnEntry(await chain.cluster(), config.gatewayId, cert, log);
  } catch (error) {
    if (!(error instanceof DaasError && error.isRetryable)) throw error;
    log.warn('The chain cannot be read: the gateway’s entry there is not checked', {
      detail: messageOf(error),
    });
  }
}

/** A cluster that is away may come; one that was not set up will not set itself up. */
async function checkCluster({ cluster, log }: GatewayOptions): Promise<void> {
  try {
    await cluster.admittedNames();
  } catch (error) {
    if (!(error instanceof DaasError && error.isRetryable)) throw error;
    log.warn('The cluster cannot be reached yet', { detail: messageOf(error) });
  }
}

interface Written {
  readonly registry: Registry;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  readonly usage: TokenUsage;
  readonly reserve: DiskReserve;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is written now and then, and what could not be written when it should have been. */
async function flushLoop(written: Written, signal: AbortSignal): Promise<void> {
  const { registry, audit, refusals, usage, reserve, clock, log } = written;
  let said: string | undefined;
  while (!signal.aborted) {
    await clock.sleep(1_000, signal).catch(() => undefined);
    refusals.flush();
    usage.flush();
    await reserve.restore();
    await audit.flush();
    const failure = await registry
      .flush()
      .then(
        () => registry.failure() ?? audit.failure() ?? (reserve.isSpent() ? reserve.detail() : undefined),
        messageOf,
      );
    // Once: a line a second about a full disk would go to the same disk.
    if (failure !== undefined && said === undefined)
      log.error('State or audit file cannot be written: no node is admitted until they can', {
        event: 'gateway.unwritten',
        detail: failure,
      });
    if (failure === undefined && said !== undefined)
      log.info('State and audit file are written again', { event: 'gateway.written' });
    said = failure;
  }
}

/** Whoever can write into it can put a state file of his own, or a socket, in the place of ours. */
function openDirectory(path: string, setting: string): void {
  makeTrustedDirectory(path, {
    what: 'the directory',
    origin: setting,
    code: 'DAAS_GATEWAY_DIRECTORY_EXPOSED',
  });
}

/** The socket's mode is its lock; on Linux its directory's is too. */
async function listenOnSocket(
  server: Server,
  ready: () => PromiseLike<unknown>,
  path: string,
): Promise<void> {
  openDirectory(dirname(path), 'gateway.socketPath');
  if (await isAnswered(path))
    throw new DaasError(
      'DAAS_GATEWAY_SOCKET_BUSY',
      `a gateway answers on ${path} already: stop it, or give this one another gateway.socketPath`,
    );
  await removeStaleSocket(path);
  await ready();
  await listening(() => listenPrivately(server, path), { path }, 'gateway.socketPath');
}

/** Not by a chmod afterwards: whoever connects in between is in. */
function listenPrivately(server: Server, path: string): Promise<void> {
  const umask = process.umask(0o177);
  try {
    // The socket is made within this call; that it listens is told later.
    return listen(server, { path });
  } finally {
    process.umask(umask);
  }
}

/** A socket that nobody answers on is what a killed gateway left; anything else there is somebody's. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (!found) return;
  if (!found.isSocket())
    throw new ConfigurationError(
      'DAAS_GATEWAY_LISTEN_FAILED',
      `cannot listen on ${path} (gateway.socketPath): a file that is not a socket is in its place. Move it away, or choose another path`,
    );
  await unlink(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A gateway that is busy refuses too, by another code.
    probe.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EAGAIN'));
  });
}

type Where = { readonly host: string; readonly port: number } | { readonly path: string };

function listen(server: Server, where: Where): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function listening(open: () => Promise<unknown>, where: Where, setting: string): Promise<void> {
  try {
    await open();
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_GATEWAY_LISTEN_FAILED',
      `cannot listen on ${'path' in where ? where.path : hostPort(where.host, where.port)} (${setting}): is another process there, or the address not of this machine?`,
      { cause },
    );
  }
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** An address to dial: "all interfaces" is none. */
function dialHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}
