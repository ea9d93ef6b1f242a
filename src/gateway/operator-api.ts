import type { ServerOptions as HttpsOptions } from 'node:https';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { BODY_LIMIT_BYTES } from '#api';
import type { Log } from '#base';
import { isNodeId } from '#domain';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import { answerWithProblems, newRequestId, parseRequest, withoutSchemas } from './http.ts';
import {
  type CommandContext,
  type Prepared,
  prepareBan,
  prepareBreakerReset,
  prepareEvict,
  prepareRelease,
  prepareUnban,
  prepareUnlock,
} from './operator-commands.ts';
import type { Operator } from './operator-list.ts';
import { bansView, breakerView, nodesView } from './operator-views.ts';
import {
  BanCommand,
  BreakerCommand,
  type CommandReply,
  EvictCommand,
  NodeCommand,
  OPERATOR_PATHS,
  UnbanCommand,
} from './operator-wire.ts';
import { createRateLimit } from './rate-limit.ts';
import { type WhySources, whyView } from './why-view.ts';

export interface OperatorApiOptions extends CommandContext, WhySources {
  readonly audit: Audit;
  readonly log: Log;
  /** Shown beside the nodes. */
  readonly figures?: (() => Readonly<Record<string, unknown>>) | undefined;
  /** For operators on other machines; without it the mode of the socket is the only access control. */
  readonly remote?:
    | {
        readonly https: HttpsOptions;
        /** Throws an `ApiProblem` for what this caller may not ask. */
        readonly identify: (request: FastifyRequest) => Promise<Operator>;
      }
    | undefined;
}

interface Command<T> {
  readonly schema: z.ZodType<T>;
  readonly prepare: (context: CommandContext, asked: T) => Prepared;
  /** A lock-out waits for no disk; what admits again is written first. */
  readonly isLockOut?: boolean;
}

/** The operator's API, on a Unix socket or over TLS. */
export function createOperatorApi(options: OperatorApiOptions): FastifyInstance {
  const { remote } = options;
  const httpRules = { headersTimeout: 5_000, connectionsCheckingInterval: 1_000 };
  const app: FastifyInstance = Fastify({
    ...withoutSchemas,
    logger: false,
    requestIdHeader: false,
    genReqId: newRequestId,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: 10_000,
    ...(remote ? { https: { ...remote.https, ...httpRules } } : { http: httpRules }),
    ...(remote && { connectionTimeout: 30_000, keepAliveTimeout: 5_000 }),
    exposeHeadRoutes: false,
    forceCloseConnections: false,
  });
  const callers = new WeakMap<FastifyRequest, Operator>();
  if (remote)
    app.addHook('onRequest', async (request) => {
      callers.set(request, await remote.identify(request));
    });
  // A line for each refusal would let the least role fill the log.
  const lines = remote && createRateLimit({ ratePerSecond: 2, burst: 500 });
  answerWithProblems(app, { clock: options.clock, log: options.log, ...(lines && { lines }) });
  app.get(OPERATOR_PATHS.nodes, async () => ({
    ...nodesView(options),
    ...options.figures?.(),
  }));
  app.get<{ Params: { readonly name: string } }>(`${OPERATOR_PATHS.why}:name`, ({ params }) => {
    if (isNodeId(params.name)) return whyView(options, params.name);
    throw new ApiProblem('request_invalid', `${params.name}: must be a node id`);
  });
  app.get(OPERATOR_PATHS.bans, async () => bansView(options));
  app.get(OPERATOR_PATHS.breaker, async () => breakerView(options));
  const on = <T extends { readonly dry_run: boolean }>(path: string, command: Command<T>) =>
    app.post(path, (request) =>
      runCommand(options, { path, command, body: request.body, caller: callers.get(request) }),
    );
  on(OPERATOR_PATHS.evict, { schema: EvictCommand, prepare: prepareEvict, isLockOut: true });
  on(OPERATOR_PATHS.ban, { schema: BanCommand, prepare: prepareBan, isLockOut: true });
  on(OPERATOR_PATHS.unban, { schema: UnbanCommand, prepare: prepareUnban });
  on(OPERATOR_PATHS.release, { schema: NodeCommand, prepare: prepareRelease });
  on(OPERATOR_PATHS.unlock, { schema: NodeCommand, prepare: prepareUnlock });
  on(OPERATOR_PATHS.breaker, { schema: BreakerCommand, prepare: prepareBreakerReset });
  return app;
}

interface Call<T> {
  readonly path: string;
  readonly command: Command<T>;
  readonly body: unknown;
  /** `undefined`: on the socket. */
  readonly caller: Operator | undefined;
}

/** One command: prepared first, then, unless it is a dry run, written down and carried out. */
async function runCommand<T extends { readonly dry_run: boolean }>(
  context: OperatorApiOptions,
  { path, command, body, caller }: Call<T>,
): Promise<CommandReply> {
  const { audit } = context;
  const { schema, prepare, isLockOut = false } = command;
  const asked = parseRequest(schema, body);
  const { actions, carryOut } = prepare(context, asked);
  const reply = { actions: [...actions], warnings: [] };
  if (asked.dry_run || actions.length === 0) return { done: false, ...reply };
  const facts = { path, ...flat(asked), operator: caller?.name };
  if (isLockOut) audit.recordLockOut('operator.command', facts);
  else await audit.note('operator.command', facts);
  await carryOut();
  await audit.flush();
  return { done: true, ...reply, warnings: unwritten(context) };
}

/** What a restart of the gateway would forget of a command that was carried out. */
function unwritten({ registry, audit }: OperatorApiOptions): string[] {
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

/** A command as the audit file takes it: without nesting. */
function flat(command: object): Record<string, string | boolean> {
  return Object.fromEntries(
    Object.entries(command).flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).map(([inner, text]) => [inner, String(text)] as const)
        : [[key, typeof value === 'boolean' ? value : String(value)] as const],
    ),
  );
}
