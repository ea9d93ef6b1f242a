import type { Server } from 'node:http';
import { join } from 'node:path';
import { createMutex, DaasError, errorFields, hostPort, Lifetime, type Log, nextTurn } from '#base';
import { type AnchorCheck, createAnchorCheck } from './anchor-check.ts';
import { ANCHORED_EVENT } from './audit-tail.ts';
import { type AuthorizerFeed, createAuthorizerFeed } from './authorizer-feed.ts';
import { createClaimWatch } from './claim-watch.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { createEventStreams } from './event-streams.ts';
import { followFence } from './fence-feed.ts';
import { fencedCluster } from './fenced-cluster.ts';
import { flushLoop } from './flush-loop.ts';
import {
  type Checks,
  checksOf,
  listenForHealth,
  listenForOperator,
  listenForOperators,
  listenForTokenReviews,
  listenForWorkers,
  publicPortOf,
  type Start,
} from './gateway-doors.ts';
import {
  createDeciders,
  type Deciders,
  type GatewayOptions,
  openRecords,
  type Records,
} from './gateway-parts.ts';
import type { HealthCheck } from './health-api.ts';
import { heldAddresses } from './held-addresses.ts';
import { takeTheLead, whenActing, whileActing } from './leading-loops.ts';
import { dialHost, openDirectory, portOf } from './listeners.ts';
import type { OperatorsListener } from './operators-listener.ts';
import type { PublicServer } from './public-server.ts';
import { type Reloaded, reload } from './reload.ts';
import { joinTokenHead, readTls } from './server-files.ts';
import { createStakedNodeProjection } from './staked-node-projection.ts';
import { checkCluster, checkEntry, checkTokenReview } from './start-checks.ts';
import { createTenantRounds } from './tenant-rounds.ts';
import { createWebhookCredentials, type WebhookCredentials } from './webhook-credentials.ts';

export interface RunningGateway extends AsyncDisposable {
  /** Where this machine reaches it. */
  readonly publicUrl: string;
  /** Where it listens: with the address of the configuration, which may be every one of the machine. */
  readonly listenUrl: string;
  readonly healthUrl: string;
  readonly socketPath: string;
  /** Where operators on other machines are answered; `undefined`: nowhere. */
  operatorsPort(): number | undefined;
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
  const anchorCheck = createAnchorCheck(given, records);
  await anchorCheck?.begin();
  carryAudit(given, records, anchorCheck);
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
    anchorCheck,
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
  const operators = await listenForOperators(begun);
  const tokenReviews = await listenForTokenReviews(begun);
  const publicServer = await listenForWorkers(begun);
  const checks = checksOf(begun, publicServer);
  const health = await listenForHealth(begun, checks, publicServer);
  life.defer('what is in progress', () => begun.stop.abort(stopping()));
  records.audit.record('gateway.started', { gateway: config.gatewayId, cluster: clusterId });
  await records.audit.flush();
  return running(begun, { publicServer, operators, tokenReviews, health, socketPath, checks, end });
}

/** What is anchored is on disk for certain: a line that a loss of power took away would keep the gateway from starting. */
function carryAudit(
  { probe, clock }: GatewayOptions,
  { audit }: Records,
  anchorCheck: AnchorCheck | undefined,
): void {
  probe?.carry({
    async head() {
      if (anchorCheck?.isMade() === false)
        throw new DaasError(
          'DAAS_GATEWAY_AUDIT_FAILED',
          'the audit file is not anchored: it was not compared with its newest anchor yet, since no full node has answered',
          { isRetryable: true },
        );
      const head = await audit.settled();
      return { ...head, atMs: clock.nowMs() };
    },
    anchored({ sequence, hash, digest }) {
      audit.record(ANCHORED_EVENT, { anchored: sequence, anchored_hash: hash, transaction: digest });
    },
  });
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
function runLoops(begun: Start): End {
  const { options, life, records, deciders, authorizer, claims, streams, stop, anchorCheck } = begun;
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
    ...(anchorCheck ? [anchorCheck.run(stop.signal)] : []),
    ...(options.config.fence === 'off'
      ? []
      : [followFence({ config: options.config, ...records, reconciler, clock, log }, stop.signal)]),
    ...[
      heldAddresses(options, reconciler),
      options.probe,
      shown,
      options.tenants && tenantRounds(options, options.tenants, records),
    ].map((loop) => whileActing(records.acting, loop, stop.signal)),
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

/** `undefined`: they are Secrets of the cluster. */
function openCredentials(
  { config, kubernetes, clock }: GatewayOptions,
  { registry, refusals, acceptances: uses, audit }: Records,
): WebhookCredentials | undefined {
  if (config.joinCredential !== 'webhook') return undefined;
  return createWebhookCredentials({ kubernetes, registry, refusals, uses, audit, clock });
}

interface Listening {
  readonly publicServer: PublicServer;
  readonly operators: OperatorsListener | undefined;
  readonly tokenReviews: Server | undefined;
  readonly health: Server;
  readonly socketPath: string;
  readonly checks: Checks;
  readonly end: End;
}

function running(
  { options, life, tls, records, deciders, authorizer, streams, stop }: Start,
  { publicServer, operators, tokenReviews, health, socketPath, checks, end }: Listening,
): RunningGateway {
  const { config, clock, chain, log } = options;
  const port = publicPortOf(config, publicServer);
  const reloading = { config, tls, publicServer, operators, ...records, ...deciders, chain, log };
  const exclusive = createMutex();
  return {
    publicUrl: `https://${hostPort(dialHost(config.listen.host), port)}`,
    listenUrl: `https://${hostPort(config.listen.host, port)}`,
    healthUrl: `http://${hostPort(dialHost(config.health.host), portOf(health))}`,
    socketPath,
    operatorsPort: () => operators && portOf(operators.app.server),
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

function stopping(): DaasError {
  return new DaasError('DAAS_GATEWAY_STOPPING', 'the gateway is stopping', { isRetryable: true });
}
