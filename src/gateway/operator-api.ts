import Fastify, { type FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { BODY_LIMIT_BYTES } from '#api';
import type { Clock, Log } from '#base';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import { type Ban, banKey, banOf } from './bans.ts';
import { BREAKER_LOCK, BREAKER_WINDOW_MS, breakerLimit, resetBreaker } from './breaker.ts';
import type { FactCache } from './fact-cache.ts';
import { answerWithProblems, newRequestId } from './http.ts';
import type { Locks } from './locks.ts';
import {
  BanCommand,
  type BansReply,
  BreakerCommand,
  type BreakerReply,
  type CommandReply,
  EvictCommand,
  NodeCommand,
  type NodeEntry,
  type NodesReply,
  OPERATOR_PATHS,
  UnbanCommand,
} from './operator-wire.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';
import { hasLeft, isAdmitted, type Worker } from './worker.ts';

export interface OperatorApiOptions {
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly facts: FactCache;
  readonly audit: Audit;
  readonly usage: TokenUsage;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Log;
}

/** The operator's commands; whoever may open the socket is the operator. */
export function createOperatorApi(options: OperatorApiOptions): FastifyInstance {
  const { registry, reconciler, audit, locks, clock, log } = options;
  const app = Fastify({
    logger: false,
    requestIdHeader: false,
    genReqId: newRequestId,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: 10_000,
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 1_000 },
    forceCloseConnections: false,
  });
  answerWithProblems(app, { clock, log });

  /** One command: looked at first, then, unless it is a dry run, carried out and written down. */
  function command<T extends { readonly dry_run: boolean }>(
    path: string,
    schema: z.ZodType<T>,
    prepare: (asked: T) => Prepared,
    { isLockOut = false }: { readonly isLockOut?: boolean } = {},
  ): void {
    app.post(path, async (request): Promise<CommandReply> => {
      const parsed = schema.safeParse(request.body);
      if (!parsed.success) {
        const [issue] = parsed.error.issues;
        throw new ApiProblem(
          'request_invalid',
          `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
        );
      }
      const { actions, carryOut } = prepare(parsed.data);
      const reply = { actions: [...actions], warnings: [] };
      if (parsed.data.dry_run || actions.length === 0) return { done: false, ...reply };
      const facts = { path, ...flat(parsed.data) };
      // A lock-out waits for no disk; what lets somebody in again is written first.
      if (isLockOut) audit.recordLockOut('operator.command', facts);
      else await audit.note('operator.command', facts);
      await carryOut();
      await audit.flush();
      return { done: true, ...reply, warnings: unwritten() };
    });
  }

  /** What a restart of the gateway would forget of a command that was carried out. */
  function unwritten(): string[] {
    const failures = [
      ['decision', registry.failure()],
      ['audit line', audit.failure()],
    ] as const;
    return failures
      .filter(([, failure]) => failure !== undefined)
      .map(
        ([what, failure]) =>
          `the ${what} counts, but is not on disk yet and is lost if the gateway ends now (${failure}): make room on the disk of gateway.stateDir`,
      );
  }

  app.get(
    OPERATOR_PATHS.nodes,
    async (): Promise<z.infer<typeof NodesReply>> => ({
      timestamp: clock.nowMs(),
      nodes: registry
        .workers()
        .toSorted((left, right) => (left.nodeId < right.nodeId ? -1 : 1))
        .map((worker) => nodeEntry(worker, options)),
    }),
  );
  app.get(
    OPERATOR_PATHS.bans,
    async (): Promise<z.infer<typeof BansReply>> => ({
      timestamp: clock.nowMs(),
      bans: [...registry.bans().values()].map(({ sinceMs, recordId, ...ban }) => ({
        ...ban,
        since: sinceMs,
        stake_record: recordId ?? null,
      })),
    }),
  );
  app.get(OPERATOR_PATHS.breaker, async (): Promise<z.infer<typeof BreakerReply>> => {
    const { trippedAtMs, removals } = registry.breaker();
    const nowMs = clock.nowMs();
    const counted = removals.filter(({ atMs }) => atMs > nowMs - BREAKER_WINDOW_MS);
    return {
      timestamp: nowMs,
      tripped_at: trippedAtMs ?? null,
      limit: breakerLimit(registry.admittedCount() + counted.length),
      window_ms: BREAKER_WINDOW_MS,
      removals: counted.map(({ nodeId, atMs }) => ({ node_id: nodeId, at: atMs })),
      held: heldNodes(registry),
    };
  });

  command(
    OPERATOR_PATHS.evict,
    EvictCommand,
    ({ node_id: nodeId, lock }) => {
      const worker = known(registry, nodeId);
      const isOut = worker.status.kind === 'evicted';
      return {
        actions: [
          ...(isOut ? [] : [`evict ${nodeId}: name, join credential, pods, Node`]),
          ...(lock && worker.lockedAtMs === undefined
            ? [`refuse registrations of ${nodeId} until unlock`]
            : []),
        ],
        carryOut: () => reconciler.evict(nodeId, 'evicted', { lock }),
      };
    },
    { isLockOut: true },
  );

  command(
    OPERATOR_PATHS.ban,
    BanCommand,
    ({ target, reason }) => {
      const ban: Ban = { ...target, reason, sinceMs: clock.nowMs(), recordId: undefined };
      const running = registry
        .workers()
        .filter((worker) => isAdmitted(worker) && hits(ban, worker))
        .map((worker) => worker.nodeId);
      return {
        actions: registry.bans().has(banKey(ban))
          ? []
          : [`ban ${ban.subject} ${ban.value}`, ...running.map((nodeId) => `evict ${nodeId}`)],
        carryOut: async () => {
          await registry.decide({ bans: [ban] });
          for (const nodeId of running) reconciler.enqueue(nodeId);
        },
      };
    },
    { isLockOut: true },
  );

  command(OPERATOR_PATHS.unban, UnbanCommand, ({ target }) => ({
    actions: registry.bans().has(banKey(target)) ? [`lift the ban of ${target.subject} ${target.value}`] : [],
    carryOut: () => registry.save({ lifted: [target] }),
  }));

  command(OPERATOR_PATHS.release, NodeCommand, ({ node_id: nodeId }) => {
    const worker = known(registry, nodeId);
    if (!hasLeft(worker))
      throw new ApiProblem('request_invalid', `${nodeId} is ${worker.status.kind}: evict it first`);
    return {
      actions: [`free the name ${nodeId} of its binding to staker ${worker.staker}`],
      carryOut: () =>
        locks.run(nodeId, async () => {
          const now = registry.worker(nodeId);
          // Since it was looked at, an admission or an eviction may have begun, which need what is known of it.
          if (now && hasLeft(now)) await registry.forget(nodeId);
        }),
    };
  });

  command(OPERATOR_PATHS.unlock, NodeCommand, ({ node_id: nodeId }) => {
    const worker = known(registry, nodeId);
    return {
      actions: worker.lockedAtMs === undefined ? [] : [`accept registrations of ${nodeId} again`],
      carryOut: () =>
        locks.run(nodeId, async () => {
          const now = registry.worker(nodeId);
          if (now) await registry.save({ worker: { ...now, lockedAtMs: undefined } });
        }),
    };
  });

  command(OPERATOR_PATHS.breaker, BreakerCommand, () => ({
    actions:
      registry.breaker().trippedAtMs === undefined
        ? []
        : [
            'reset the breaker',
            ...heldNodes(registry).map((nodeId) => `evict ${nodeId} if its facts are still bad`),
          ],
    carryOut: async () => {
      await locks.run(BREAKER_LOCK, () =>
        registry.save({ breaker: resetBreaker(heldNodes(registry), clock.nowMs()) }),
      );
      reconciler.enqueueAll();
    },
  }));
  return app;
}

interface Prepared {
  /** Empty: there is nothing to do. */
  readonly actions: readonly string[];
  readonly carryOut: () => Promise<void>;
}

function known(registry: Registry, nodeId: string): Worker {
  const worker = registry.worker(nodeId);
  if (!worker)
    throw new ApiProblem(
      'not_found',
      `this gateway has admitted no node '${nodeId}', and touches no others: 'k3s-daas gateway nodes --all' lists its own`,
    );
  return worker;
}

function hits({ subject, value }: Ban, worker: Worker): boolean {
  if (subject === 'node_id') return worker.nodeId === value;
  // A banned staker keeps the names he has.
  return subject === 'node_key' && worker.holderKey === value;
}

function heldNodes(registry: Registry): string[] {
  return registry
    .workers()
    .filter((worker) => worker.heldFor !== undefined)
    .map((worker) => worker.nodeId);
}

function nodeEntry(worker: Worker, { registry, facts, reconciler, usage }: OperatorApiOptions): NodeEntry {
  const lastHeartbeat = registry.lastHeartbeat(worker.nodeId);
  const fact = facts.factOf(worker, lastHeartbeat?.goodAtMs);
  const node = reconciler.nodes()?.get(worker.nodeId);
  const record = facts.recordOf(worker);
  const use = usage.of(worker.nodeId);
  return {
    node_id: worker.nodeId,
    status: worker.status.kind,
    reason: 'reason' in worker.status ? worker.status.reason : null,
    since: worker.statusSinceMs,
    tier: worker.tier,
    staker: worker.staker,
    stake_record: worker.recordId,
    seal_token: worker.tokenId,
    holder_key: worker.holderKey,
    incarnation: worker.incarnation,
    fact: fact.kind === 'bad' ? fact.reason : fact.kind,
    held_for: worker.heldFor ?? null,
    locked: worker.lockedAtMs !== undefined,
    banned: banOf(registry.bans(), { ...worker, isKnownName: true }) !== undefined,
    node: node ? { uid: node.uid, ready: node.isReady } : null,
    last_heartbeat: lastHeartbeat?.lastHeartbeatMs ?? null,
    agent_state: lastHeartbeat?.agentState ?? null,
    // What its last heartbeat said runs there no longer.
    running_pods: isAdmitted(worker) ? (lastHeartbeat?.runningPods ?? null) : null,
    host: { ...worker.host },
    stake: record
      ? {
          status: record.status,
          stake_mist: record.stakeMist.toString(),
          slashed_mist: record.slashedMist.toString(),
          slash_reason: record.slashReason,
        }
      : null,
    use: {
      registrations: use.registrations,
      first_registration: use.sinceMs ?? null,
      addresses: [...use.addresses],
      superseded_use: use.supersededAtMs ?? null,
    },
  };
}

/** A command as the audit file takes it: no nesting. */
function flat(command: object): Record<string, string | boolean> {
  return Object.fromEntries(
    Object.entries(command).flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).map(([inner, text]) => [inner, String(text)] as const)
        : [[key, typeof value === 'boolean' ? value : String(value)] as const],
    ),
  );
}
