import {
  type AccessRules,
  type Authorizer,
  type AuthorizerProgram,
  type CountedDenial,
  createAuthorizer,
  type NodeAccess,
} from '#authorizer';
import { type Clock, type Log, systemClock } from '#base';
import { MOST_BANNED_NAMES, type VouchTable } from '#domain';
import type { Audit } from './audit.ts';
import {
  bannedNames,
  hasBannedFile,
  namesForServers,
  serverFingerprints,
  webhookTls,
  writeBannedFile,
} from './authorizer-files.ts';
import { nodeAccessOf, obstaclesToEnforcing, rulesOf } from './authorizer-rules.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { isContested } from './contested-names.ts';
import { createFailureLog } from './failure-log.ts';
import type { Reconciler } from './reconciler.ts';
import { createRefusalTally, type RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import type { Worker } from './worker.ts';

export interface AuthorizerFeedOptions {
  readonly config: RunnableGatewayConfig;
  readonly program: AuthorizerProgram;
  readonly registry: Registry;
  readonly reconciler: Pick<Reconciler, 'nodes' | 'names' | 'readName'>;
  readonly vouches: VouchTable | undefined;
  readonly audit: Audit;
  /** Whether this gateway writes the state; what another has written is followed. Always, unless given. */
  readonly isActing?: (() => boolean) | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** The authorizer, fed with what the gateway decides. */
export interface AuthorizerFeed {
  /** Until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** What `/readyz` says about it. */
  status(): { readonly isOk: boolean; readonly detail: string };
  port(): number | undefined;
  mode(): AccessRules['mode'];
  /** Of which nodes the certificates have changed. */
  changed(nodeId: string): void;
}

interface Feed extends AuthorizerFeedOptions {
  readonly authorizer: Authorizer;
  readonly settledAtMs: number;
  /** Nodes to tell about in this turn of the loop. */
  readonly due: Set<string>;
  /** A kubelet repeats what was refused every few seconds: a line for a kind and hour. */
  readonly refusals: RefusalTally;
  /** A node that is refused and no worker: the operator may have opened its name a moment ago. */
  unknownName: string | undefined;
  isReadingName: boolean;
  /** A worker or a ban may have changed since the last look. */
  isDue: boolean;
  lookedAtMs: number;
  obstacles: readonly string[];
  fingerprints: readonly string[];
  lastRules: string;
  lastBanned: string | undefined;
  /** Banned names that the servers are not given: they would be too many. */
  leftOut: number;
}

const tickMs = 1_000;
/** What nobody reports: the server's own certificates, listed names, and bans that were lifted. */
const lookEveryMs = 5_000;
const nameWithinMs = 2_000;
const noteEveryMs = 3_600_000;
/** Subjects that are told apart within an hour: they are names that callers choose. */
const mostNoted = 1_000;
/** An honest agent shows its certificates with a heartbeat at the latest. */
const settlingHeartbeats = 3;

export async function createAuthorizerFeed(options: AuthorizerFeedOptions): Promise<AuthorizerFeed> {
  const { config, program, clock, log, registry } = options;
  const authorizer = createAuthorizer({
    program,
    tls: await webhookTls(config),
    host: '127.0.0.1',
    port: config.authorizer.port,
    // A real process: what it takes is measured by the machine's own clock.
    clock: systemClock,
    log: log.child({ part: 'authorizer' }),
    onDenials: (denials, mode) => noteDenials(feed, denials, mode),
  });
  const feed: Feed = {
    ...options,
    authorizer,
    settledAtMs: clock.monotonicMs() + settlingHeartbeats * config.heartbeatIntervalMs,
    due: new Set(),
    refusals: createRefusalTally({
      audit: options.audit,
      nowMs: () => clock.nowMs(),
      windowMs: noteEveryMs,
      mostKinds: mostNoted,
    }),
    unknownName: undefined,
    isReadingName: false,
    isDue: true,
    lookedAtMs: Number.NEGATIVE_INFINITY,
    obstacles: [],
    fingerprints: [],
    lastRules: '',
    lastBanned: undefined,
    leftOut: 0,
  };
  registry.onWorkerChange((before, after) => changed(feed, (after ?? before)?.nodeId ?? ''));
  return {
    async run(signal) {
      authorizer.setNodes(registry.workers().map((worker) => accessOf(feed, worker)));
      await Promise.all([authorizer.run(signal), lookAround(feed, signal)]);
      feed.refusals.flush({ isLast: true });
    },
    status: () => statusOf(feed),
    port: () => authorizer.port(),
    mode: () => authorizer.rules().mode,
    changed: (nodeId) => changed(feed, nodeId),
  };
}

/** In the next turn: whoever keeps the vouches hears of the same change. */
function changed(feed: Feed, nodeId: string): void {
  feed.isDue = true;
  if (feed.due.size === 0) setImmediate(() => tellDue(feed));
  feed.due.add(nodeId);
}

function tellDue(feed: Feed): void {
  const { due, registry, authorizer } = feed;
  const nodeIds = [...due];
  due.clear();
  const workers = nodeIds.flatMap((nodeId) => registry.worker(nodeId) ?? []);
  authorizer.setNodes(
    workers.map((worker) => accessOf(feed, worker)),
    nodeIds.filter((nodeId) => registry.worker(nodeId) === undefined),
  );
}

function accessOf(feed: Feed, worker: Worker): NodeAccess {
  return nodeAccessOf(worker, { vouches: feed.vouches, isContested: isContested(feed, worker) });
}

async function lookAround(feed: Feed, signal: AbortSignal): Promise<void> {
  const { clock, refusals } = feed;
  const failures = createFailureLog(feed, {
    failed: 'The authorizer could not be told what has changed',
    worked: 'The authorizer knows again what has changed',
  });
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs();
    if (feed.isDue || nowMs - feed.lookedAtMs >= lookEveryMs) {
      feed.isDue = false;
      feed.lookedAtMs = nowMs;
      try {
        await look(feed);
        failures.worked();
      } catch (error) {
        feed.isDue = true;
        failures.failed(error);
      }
    }
    refusals.flush();
    await clock.sleep(tickMs, signal).catch(() => undefined);
  }
}

async function look(feed: Feed): Promise<void> {
  const { config, registry, reconciler, authorizer, clock } = feed;
  feed.fingerprints = await serverFingerprints(config.authorizer.serverCertificates);
  readUnknownName(feed);
  const [nodes, names] = [reconciler.nodes(), reconciler.names()];
  const isEnforced = await mayEnforce(feed);
  const isSettling = clock.monotonicMs() < feed.settledAtMs;
  const rules = rulesOf(config.authorizer, {
    nodes,
    names,
    serverFingerprints: feed.fingerprints,
    isEnforced,
    isSettling,
  });
  const text = JSON.stringify(rules);
  if (text !== feed.lastRules) {
    feed.lastRules = text;
    authorizer.setRules(rules);
  }
  await tellBanned(
    feed,
    bannedNames(registry.bans().values(), (nodeId) => registry.worker(nodeId), clock.nowMs()),
  );
}

/**
 * One a second at most, and one at a time: who has claimed a thousand names costs the API server no more. Nothing waits for the
 * answer: anybody can have a name refused, also while the API server does not answer.
 */
function readUnknownName(feed: Feed): void {
  const { unknownName, reconciler } = feed;
  feed.unknownName = undefined;
  if (unknownName === undefined || feed.isReadingName) return;
  feed.isReadingName = true;
  const done = (isListed: boolean) => {
    feed.isReadingName = false;
    feed.isDue ||= isListed;
  };
  reconciler.readName(unknownName, AbortSignal.timeout(nameWithinMs)).then(
    (listing) => done(listing !== undefined),
    () => done(false),
  );
}

async function tellBanned(feed: Feed, banned: readonly string[]): Promise<void> {
  const { config } = feed;
  const { names, leftOut } = namesForServers(banned);
  noteLeftOut(feed, leftOut);
  const text = names.join(' ');
  // Somebody may have removed it: no server takes a missing list for an empty one, and none would follow.
  if (text === feed.lastBanned && (await hasBannedFile(config))) return;
  await writeBannedFile(config, names);
  feed.lastBanned = text;
}

function noteLeftOut(feed: Feed, leftOut: number): void {
  const isNew = leftOut > 0 && feed.leftOut === 0;
  feed.leftOut = leftOut;
  if (!isNew) return;
  feed.audit.record('bans.left_out', { count: leftOut, most: MOST_BANNED_NAMES });
  feed.log.error('More names are banned than the servers refuse by themselves', {
    event: 'authorizer.bans-left-out',
    detail: leftOutText(leftOut),
  });
}

const leftOutText = (count: number) =>
  `the ${count} names that were banned first are refused only while a gateway runs: a server takes ${MOST_BANNED_NAMES}`;

/**
 * Enforcing begins when nothing speaks against it, and does not end by what comes later: a Node without a vouched
 * certificate could switch it off otherwise. It is remembered over restarts.
 */
async function mayEnforce(feed: Feed): Promise<boolean> {
  const { config, registry, reconciler, vouches, fingerprints, audit, clock, log } = feed;
  if (feed.isActing?.() === false)
    return config.authorizer.mode === 'enforce' && registry.moment('authorizer-enforced') !== undefined;
  if (config.authorizer.mode !== 'enforce') {
    if (registry.moment('authorizer-enforced') !== undefined) {
      await registry.save({ moments: { 'authorizer-enforced': undefined } });
      audit.record('authorizer.mode', { mode: config.authorizer.mode });
    }
    feed.obstacles = [];
    return false;
  }
  if (registry.moment('authorizer-enforced') !== undefined) return true;
  feed.obstacles = obstaclesToEnforcing({
    nodes: reconciler.nodes(),
    names: reconciler.names(),
    vouches,
    serverFingerprints: fingerprints,
    hasOrdinaryAgents: config.authorizer.ordinaryAgents,
  });
  if (feed.obstacles.length > 0) return false;
  await audit.note('authorizer.mode', { mode: 'enforce' });
  await registry.save({ moments: { 'authorizer-enforced': clock.nowMs() } });
  log.info('The authorizer enforces', { event: 'authorizer.enforces' });
  return true;
}

function statusOf({ authorizer, config, obstacles, leftOut }: Feed): { isOk: boolean; detail: string } {
  const failure = authorizer.failure();
  if (failure !== undefined) return { isOk: false, detail: failure };
  const [obstacle] = obstacles;
  if (obstacle !== undefined)
    return { isOk: false, detail: `observes, and cannot enforce yet: ${obstacles.join('; ')}` };
  const state = config.authorizer.mode === 'enforce' ? 'enforces' : 'observes';
  // Said, and no reason to take the gateway out of service: it refuses them all.
  return { isOk: true, detail: leftOut === 0 ? state : `${state}; ${leftOutText(leftOut)}` };
}

function noteDenials(feed: Feed, denials: readonly CountedDenial[], mode: AccessRules['mode']): void {
  const { refusals, log, registry } = feed;
  const unknown = denials.find(({ code, subject }) => code === 'not-vouched' && isUnknown(registry, subject));
  if (unknown) {
    feed.unknownName = unknown.subject;
    feed.isDue = true;
  }
  const isEnforced = mode === 'enforce';
  const event = isEnforced ? 'access.refused' : 'access.would_be_refused';
  const message = isEnforced ? 'The authorizer has refused requests' : 'The authorizer would refuse requests';
  for (const { code, subject, count } of denials) {
    const isFirst = refusals.count(event, { reason: code, subject }, { code, subject, count }, count);
    if (isFirst) log.warn(message, { event, reason: code, detail: `${subject}, ${count} times` });
  }
}

/** Names of Nodes alone: shared identities are refused by their user's name. */
const NODE_NAME = /^[a-z0-9][a-z0-9.-]{0,252}$/;

function isUnknown(registry: Pick<Registry, 'worker'>, subject: string): boolean {
  return NODE_NAME.test(subject) && registry.worker(subject) === undefined;
}
