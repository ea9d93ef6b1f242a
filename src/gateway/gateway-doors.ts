import type { Server } from 'node:http';
import type { Lifetime } from '#base';
import { closeListener, guardConnections } from '#infrastructure';
import type { AnchorCheck } from './anchor-check.ts';
import type { AuthorizerFeed } from './authorizer-feed.ts';
import { webhookTls } from './authorizer-files.ts';
import type { ClaimWatch } from './claim-watch.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { EventStreams } from './event-streams.ts';
import { auditPathOf, type Deciders, type GatewayOptions, type Records } from './gateway-parts.ts';
import { createHealthApi, type HealthCheck } from './health-api.ts';
import { healthChecks } from './health-checks.ts';
import { dialHost, listenForProxy, listenOnPort, listenOnSocket, portOf } from './listeners.ts';
import { scrape } from './metric-sources.ts';
import { createOperatorApi, type OperatorApiOptions } from './operator-api.ts';
import { readOperatorCa, readOperatorList } from './operator-list.ts';
import { createOperatorsListener, type OperatorsListener } from './operators-listener.ts';
import { createPublicApi } from './public-api.ts';
import type { PublicServer } from './public-server.ts';
import { createSelfProbe } from './self-probe.ts';
import type { TlsMaterial } from './server-files.ts';
import { isOperatorsWrite, isWorkersPath, standBy } from './standing-by.ts';
import { createTenantDesk } from './tenant-desk.ts';
import { BEARER_CACHE_MS, createTokenReviewListener } from './token-review-listener.ts';
import type { WebhookCredentials } from './webhook-credentials.ts';

/** What every part of the start works with. */
export interface Start {
  /** `undefined`: nothing of the audit file is anchored on chain. */
  readonly anchorCheck: AnchorCheck | undefined;
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

export async function listenForOperator(begun: Start, socketPath: string): Promise<void> {
  const { life, records } = begun;
  const operator = createOperatorApi(operatorSources(begun));
  standBy(operator, records.acting, isOperatorsWrite);
  const connections = guardConnections(operator.server, { most: 64 });
  life.defer('the operator’s socket', async () => {
    await closeListener(operator.server, connections, 3_000);
    await operator.close();
  });
  await operator.ready();
  await listenOnSocket(operator.server, { path: socketPath, setting: 'gateway.socketPath' });
}

function operatorSources({ options, records, deciders }: Start): OperatorApiOptions {
  const { kubernetes, chain, config, clock, log, figures } = options;
  const auditPath = auditPathOf(config);
  const { gatewayId } = config;
  return { ...records, ...deciders, kubernetes, chain, auditPath, gatewayId, clock, log, figures };
}

/** For operators on other machines; `undefined`: it is off. */
export async function listenForOperators(begun: Start): Promise<OperatorsListener | undefined> {
  const { options, life, tls, records } = begun;
  const { listen, directory } = options.config.operators;
  if (!listen) return undefined;
  // Read once before it listens: a list that cannot be read refuses everybody later.
  await readOperatorList(directory);
  const ca = await readOperatorCa(directory);
  const listener = createOperatorsListener({
    ...operatorSources(begun),
    refusals: records.refusals,
    tls,
    ca,
    directory,
  });
  const { app, connections } = listener;
  standBy(app, records.acting, isOperatorsWrite);
  life.defer('the port of the operators', async () => {
    await closeListener(app.server, connections, 3_000);
    await app.close();
  });
  await app.ready();
  await listenOnPort(app.server, listen, 'gateway.operators.listen');
  return listener;
}

/** `undefined`: it is off. */
export async function listenForTokenReviews({
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

export async function listenForWorkers(begun: Start): Promise<PublicServer> {
  const { options, life, tls, tokenHead, records, deciders, streams, stop } = begun;
  const { config, clock, log } = options;
  const { takeProof, evidence } = options;
  const own = { config, tls, tokenHead, takeProof, evidence, streams, clock, log, signal: stop.signal };
  const publicServer = createPublicApi({ ...records, ...deciders, ...own });
  standBy(publicServer.app, records.acting, isWorkersPath);
  life.defer('the public port', () => {
    // They would hold the port open for as long as it is patient.
    streams.close();
    return publicServer.close();
  });
  await publicServer.app.ready();
  const { proxySocket: path } = config.listen;
  const { server } = publicServer.app;
  if (path === undefined) await listenOnPort(server, config.listen, 'gateway.listen');
  else await listenForProxy(server, { path, setting: 'gateway.listen.proxySocket' });
  return publicServer;
}

/** The port that workers dial: a proxy's, where one stands in front. */
export function publicPortOf(
  { listen }: Pick<RunnableGatewayConfig, 'listen'>,
  { app }: PublicServer,
): number {
  return listen.proxySocket === undefined ? portOf(app.server) : listen.port;
}

export type Checks = () => Promise<readonly HealthCheck[]>;

/** What `/readyz` reports. */
export function checksOf(
  { options, tls, records, deciders, authorizer, claims }: Start,
  publicServer: PublicServer,
): Checks {
  const { config, clock, proofFailure } = options;
  const host = dialHost(config.listen.host);
  const probe = createSelfProbe({
    host,
    port: publicPortOf(config, publicServer),
    cert: () => tls.cert,
    clock,
  });
  const watched = { probe, publicServer, authorizer, claims, proofFailure, clock };
  return () => healthChecks({ ...records, ...deciders, ...watched });
}

export async function listenForHealth(
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
