import type { Server } from 'node:http';
import { join } from 'node:path';
import { createMutex, DaasError, errorFields, hostPort, Lifetime, type Log, nextTurn } from '#base';
import { closeListener, guardConnections } from '#infrastructure';
import { type AuthorizerFeed, createAuthorizerFeed } from './authorizer-feed.ts';
import { webhookTls } from './authorizer-files.ts';
import { type ClaimWatch, createClaimWatch } from './claim-watch.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { createEventStreams, type EventStreams } from './event-streams.ts';
import { followFence } from './fence-feed.ts';
import { fencedCluster } from './fenced-cluster.ts';
import { flushLoop } from './flush-loop.ts';
import {
  auditPathOf,
  createDeciders,
  type Deciders,
  type GatewayOptions,
  openRecords,
  type Records,
} from './gateway-parts.ts';
import { createHealthApi, type HealthCheck } from './health-api.ts';
import { healthChecks } from './health-checks.ts';
import { takeTheLead, whenActing, whileActing } from './leading-loops.ts';
import { dialHost, listenOnPort, listenOnSocket, openDirectory, portOf } from './listeners.ts';
import { scrape } from './metric-sources.ts';
import { createOperatorApi } from './operator-api.ts';
import { createPublicApi } from './public-api.ts';
import type { PublicServer } from './public-server.ts';
import { type Reloaded, reload } from './reload.ts';
import { createSelfProbe } from './self-probe.ts';
import { joinTokenHead, readTls, type TlsMaterial } from './server-files.ts';
import { createStakedNodeProjection } from './staked-node-projection.ts';
import { isOperatorsWrite, isWorkersPath, standBy } from './standing-by.ts';
import { checkCluster, checkEntry, checkTokenReview } from './start-checks.ts';
import { createTenantDesk } from './tenant-desk.ts';
import { createTenantRounds } from './tenant-rounds.ts';
import { BEARER_CACHE_MS, createTokenReviewListener } from './token-review-listener.ts';
import { createWebhookCredentials, type WebhookCredentials } from './webhook-credentials.ts';

export interface RunningGateway extends AsyncDisposable {
  /** Where this machine reaches it. */
  readonly publicUrl: string;
  /** Where it listens: with the address of the configuration, which may be every one of the machine. */
  readonly listenUrl: string;
  readonly healthUrl: string;
  readonly socketPath: string;
  /** Where the authorizer listens; `undefined`: it does not. */
  authorizerPort(): number | undefined;
  /** Where it answers TokenReviews; `undefined`: it does not. */
  tokenReviewPort(): number | undefined;
  /** What `/readyz` reports, check by check. */
  health(): Promise<readonly HealthCheck[]>;
  /** Resolves when `/readyz` answers 200 for the first time; rejects when the gateway stops before. */
  untilReady(): Promise<void>;
  /**
   * Takes over a configuration and the certificate without closing a connection.
   * @throws what is wrong with them; then nothing has changed.
   */
  reload(config: RunnableGatewayConfig): Promise<Reloaded>;
  /** For `gateway.drainMs` everything is answered, `/readyz` is red, and each connection ends with its reply. */
  drain(): Promise<void>;
  /** Resolves when it was closed; rejects when it cannot go on (another chain, no such cluster). */
  readonly ended: Promise<void>;
}

/** What every part of the start works with. */
interface Start {
  readonly options: GatewayOptions;
  readonly life: Lifetime;
  readonly tls: TlsMaterial;
  /** `K10<hash>::`, the head of every join token. */
  readonly tokenHead: string;
  readonly records: Records;
  readonly deciders: Deciders;
  readonly authorizer: AuthorizerFeed | undefined;
  /** Of join credentials that are in no Secret; `undefined`: they are in Secrets. */
  readonly credentials: WebhookCredentials | undefined;
  readonly claims: ClaimWatch;
  readonly streams: EventStreams;
  readonly stop: AbortController;
}

/**
 * Starts a gateway: state, checks against the chain, reconciliation, then the listeners. When it resolves, the public
 * port, the health port and the operator's socket listen.
 * @throws the errors of its parts; a `ConfigurationError` for what only an operator can correct.
 */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const life = new Lifetime();
  try {
    return await start(options, life);
  } catch (error) {
    await life.close().catch((failure: unknown) => {
      options.log.error('A failed start could not be cleaned up', errorFields(failure));
    });
    throw error;
  }
}

async function start(asked: GatewayOptions, life: Lifetime): Promise<RunningGateway> {
  // A copy: a reload replaces members of it.
  const given = { ...asked, config: { ...asked.config } };
  const { config, clusterId, clock, log, endpoints = 1 } = given;
  const startedAtMs = clock.monotonicMs();
  const socketPath = config.socketPath ?? join(config.stateDir, 'operator.sock');
  openDirectory(config.stateDir, 'gateway.stateDir');
  checkTokenReview(config);
  const tls = await readTls(config.tls);
  const tokenHead = await joinTokenHead(config, log);
  await checkEntry(given, tls.cert);
  await checkCluster(given);
  warnOfLimits(log, endpoints, config.taintNodes);

  // Each part of the start takes a while with many workers: others get the thread in between.
  const records = await openRecords(given, life);
  await nextTurn();
  const credentials = openCredentials(given, records);
  const kubernetes = fencedCluster(credentials?.kubernetes ?? given.kubernetes, () =>
    records.acting.isActing(),
  );
  const options = { ...given, kubernetes };
  const deciders = createDeciders(options, records, startedAtMs);
  await nextTurn();
  const authorizer = await openAuthorizer(options, records, deciders);
  const stop = new AbortController();
  const claims = whenActing(records.acting, () => createClaimWatch({ ...records, ...deciders, ...options }));
  const streams = createEventStreams({ most: config.limits.eventStreams, clock });
  const begun: Start = {
    options,
    life,
    tls,
    tokenHead,
    records,
    deciders,
    authorizer,
    claims,
    credentials,
    streams,
    stop,
  };
  const end = runLoops(begun);
  await nextTurn();
  await listenForOperator(begun, socketPath);
  const tokenReviews = await listenForTokenReviews(begun);
  const publicServer = await listenForWorkers(begun);
  const checks = checksOf(begun, publicServer);
  const health = await listenForHealth(begun, checks, publicServer);
  life.defer('what is in progress', () => begun.stop.abort(stopping()));
  records.audit.record('gateway.started', { gateway: config.gatewayId, cluster: clusterId });
  await records.audit.flush();
  return running(begun, { publicServer, tokenReviews, health, socketPath, checks, end });
}

/** `undefined`: it is off. */
function openAuthorizer(
  { config, authorizerProgram: program, vouches: given, clock, log }: GatewayOptions,
  { registry, audit, acting }: Records,
  { reconciler, vouches: known }: Deciders,
): Promise<AuthorizerFeed> | undefined {
  if (config.authorizer.mode === 'off') return undefined;
  const vouches = given ?? known;
  if (!program) throw new RangeError('startGateway: the authorizer needs authorizerProgram');
  return createAuthorizerFeed({
    config,
    program,
    registry,
    reconciler,
    vouches,
    audit,
    isActing: () => acting.isActing(),
    clock,
    log,
  });
}

function warnOfLimits(log: Log, endpoints: number, taintNodes: boolean): void {
  if (endpoints < 2)
    log.warn('The gateway asks one full node: its operator can hide changes from it', { endpoints });
  if (!taintNodes) log.warn('Staked nodes get no taint: any pod can run on a stranger’s machine');
}

interface End {
  readonly ended: Promise<void>;
  readonly resolve: () => void;
}

/** Follows the chain, reconciles and writes, until the gateway is closed. */
function runLoops({ options, life, records, deciders, authorizer, claims, streams, stop }: Start): End {
  const { clock, log } = options;
  const { facts, reconciler } = deciders;
  const board = options.stakedNodes;
  const shown = board && createStakedNodeProjection({ board, ...records, facts, clock, log });
  const loops = [
    facts.follow(
      {
        announced: (recordIds) => streams.announce(recordIds),
        changed: (nodeId) => {
          reconciler.enqueue(nodeId);
          shown?.changed(nodeId);
        },
        allChanged: () => {
          reconciler.enqueueAll();
          shown?.allChanged();
        },
      },
      stop.signal,
    ),
    reconciler.run(stop.signal),
    deciders.sight.run(stop.signal),
    claims.run(stop.signal),
    flushLoop({ ...records, clock, log }, stop.signal),
    takeTheLead(records.acting, () => reconciler.enqueueAll(), stop.signal),
    records.state.keepSealed(stop.signal),
    ...(authorizer ? [authorizer.run(stop.signal)] : []),
    ...(options.config.fence === 'off'
      ? []
      : [followFence({ config: options.config, ...records, reconciler, clock, log }, stop.signal)]),
    ...[options.probe, shown, options.tenants && tenantRounds(options, options.tenants, records)].map(
      (loop) => whileActing(records.acting, loop, stop.signal),
    ),
  ];
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  // An embedder that does not look at `ended` must not be ended by an unhandled rejection.
  ended.catch(() => undefined);
  for (const loop of loops)
    loop.catch((error: unknown) => {
      log.error('The gateway cannot go on', errorFields(error));
      reject(error);
    });
  life.defer('the loops', async () => {
    stop.abort(stopping());
    await Promise.allSettled(loops);
  });
  return { ended, resolve };
}

function tenantRounds(
  { chain, config, clock, log }: GatewayOptions,
  { keeper }: NonNullable<GatewayOptions['tenants']>,
  { audit }: Records,
) {
  const own = log.child({ part: 'tenants' });
  return createTenantRounds({ keeper, chain, audit, clock, log: own, ...config.tenants.ended });
}

async function listenForOperator(
  { options, life, records, deciders }: Start,
  socketPath: string,
): Promise<void> {
  const { clock, log, figures, kubernetes, chain } = options;
  const operator = createOperatorApi({
    ...records,
    ...deciders,
    ...{ kubernetes, chain, clock, log, figures },
    auditPath: auditPathOf(options.config),
  });
  standBy(operator, records.acting, isOperatorsWrite);
  const connections = guardConnections(operator.server, { most: 64 });
  life.defer('the operator’s socket', async () => {
    await closeListener(operator.server, connections, 3_000);
    await operator.close();
  });
  await operator.ready();
  await listenOnSocket(operator.server, socketPath);
}

/** `undefined`: they are Secrets of the cluster. */
function openCredentials(
  { config, kubernetes, clock }: GatewayOptions,
  { registry, refusals, acceptances: uses, audit }: Records,
): WebhookCredentials | undefined {
  if (config.joinCredential !== 'webhook') return undefined;
  return createWebhookCredentials({ kubernetes, registry, refusals, uses, audit, clock });
}

/** `undefined`: it is off. */
async function listenForTokenReviews({
  options,
  life,
  records,
  deciders,
  credentials,
}: Start): Promise<Server | undefined> {
  const { config, clock, tenants } = options;
  const log = options.log.child({ part: 'token-review' });
  const { enabled, port, cacheTtlMs } = config.tokenReview;
  if (!enabled) return undefined;
  const { server, connections } = createTokenReviewListener({
    tls: await webhookTls(config),
    logins: deciders.logins,
    credentials,
    tenants: tenants && createTenantDesk({ ...tenants, audit: records.audit, clock, log }),
    clock,
    log,
    revokedWithinMs: cacheTtlMs + BEARER_CACHE_MS,
  });
  life.defer('the listener for TokenReviews', () => closeListener(server, connections, 1_000));
  await listenOnPort(server, { host: '127.0.0.1', port }, 'gateway.tokenReview.port');
  return server;
}

async function listenForWorkers(begun: Start): Promise<PublicServer> {
  const { options, life, tls, tokenHead, records, deciders, streams, stop } = begun;
  const { config, clock, log, takeProof, evidence } = options;
  const own = { config, tls, tokenHead, takeProof, evidence, streams, clock, log, signal: stop.signal };
  const publicServer = createPublicApi({ ...records, ...deciders, ...own });
  standBy(publicServer.app, records.acting, isWorkersPath);
  life.defer('the public port', () => {
    // They would hold the port open for as long as it is patient.
    streams.close();
    return publicServer.close();
  });
  await publicServer.app.ready();
  await listenOnPort(publicServer.app.server, config.listen, 'gateway.listen');
  return publicServer;
}

type Checks = () => Promise<readonly HealthCheck[]>;

function checksOf(
  { options, tls, records, deciders, authorizer, claims }: Start,
  publicServer: PublicServer,
): Checks {
  const { config, clock, proofFailure } = options;
  const host = dialHost(config.listen.host);
  const probe = createSelfProbe({
    host,
    port: portOf(publicServer.app.server),
    cert: () => tls.cert,
    clock,
  });
  const watched = { probe, publicServer, authorizer, claims, proofFailure, clock };
  return () => healthChecks({ ...records, ...deciders, ...watched });
}

async function listenForHealth(
  { options, life, records, deciders, streams }: Start,
  checks: Checks,
  { connections: open }: PublicServer,
): Promise<Server> {
  const { figures, clock, config, version = '' } = options;
  const { metrics } = records;
  metrics.show('build', 1, { version, gateway: config.gatewayId });
  const sources = { ...records, ...deciders, connections: open, streams, checks, figures, clock };
  const text = () => scrape(sources);
  const health = createHealthApi(checks, { figures, metrics: { text, contentType: metrics.contentType } });
  const connections = guardConnections(health, { most: 64, lifeMs: 30_000 });
  life.defer('the health port', () => closeListener(health, connections, 0));
  await listenOnPort(health, options.config.health, 'gateway.health');
  return health;
}

interface Listening {
  readonly publicServer: PublicServer;
  readonly tokenReviews: Server | undefined;
  readonly health: Server;
  readonly socketPath: string;
  readonly checks: Checks;
  readonly end: End;
}

function running(
  { options, life, tls, records, deciders, authorizer, streams, stop }: Start,
  { publicServer, tokenReviews, health, socketPath, checks, end }: Listening,
): RunningGateway {
  const { config, clock, chain, log } = options;
  const { server } = publicServer.app;
  const reloading = { config, tls, publicServer, ...records, ...deciders, chain, log };
  const exclusive = createMutex();
  return {
    publicUrl: `https://${hostPort(dialHost(config.listen.host), portOf(server))}`,
    listenUrl: `https://${hostPort(config.listen.host, portOf(server))}`,
    healthUrl: `http://${hostPort(dialHost(config.health.host), portOf(health))}`,
    socketPath,
    authorizerPort: () => authorizer?.port(),
    tokenReviewPort: () => tokenReviews && portOf(tokenReviews),
    health: checks,
    async untilReady() {
      while (!(await checks()).every(({ isOk }) => isOk)) await clock.sleep(200, stop.signal);
    },
    reload: (next) => exclusive(() => reload(reloading, next)),
    async drain() {
      if (config.drainMs === 0) return;
      publicServer.drain();
      streams.close();
      await clock.sleep(config.drainMs);
    },
    ended: end.ended,
    async [Symbol.asyncDispose]() {
      await life.close();
      end.resolve();
    },
  };
}

const stopping = () =>
  new DaasError('DAAS_GATEWAY_STOPPING', 'the gateway is stopping', { isRetryable: true });
