import { request } from 'node:http';
import { Command } from 'commander';
import type { z } from 'zod';
import { Problem } from '#api';
import { ConfigurationError, DaasError, displayText, readBody } from '#base';
import {
  type BanEntry,
  BansReply,
  BreakerReply,
  CommandReply,
  type NodeEntry,
  NodesReply,
  OPERATOR_PATHS,
} from '#gateway';
import { type Io, notConfirmed, table } from './io.ts';

interface SocketOptions {
  readonly socket: string;
}
interface TouchOptions extends SocketOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** `k3s-daas gateway nodes|evict|ban|unban|bans|release|unlock|breaker`: the operator's commands to a running gateway. */
export function operatorCommands(io: Io): Command[] {
  const nodes = withSocket(new Command('nodes'))
    .description('List the staked nodes: state, stake, heartbeat, Kubernetes Node.')
    .action((options: SocketOptions) => listNodes(io, options));
  const evict = withTouch(new Command('evict'))
    .description(
      'Remove a node from the cluster now. With a good stake it can come back, unless you pass --lock.',
    )
    .argument('<node>', 'node id')
    .option('--lock', 'also reject its registrations until `unlock`')
    .action((node: string, options: TouchOptions & { lock?: boolean }) =>
      touch(io, OPERATOR_PATHS.evict, { node_id: node, lock: options.lock === true }, options),
    );
  const ban = withTouch(new Command('ban'))
    .description(
      'Reject a node id, a node key or new names of a staker until `unban`, and remove their running nodes.',
    )
    .argument('<what>', targetHelp)
    .requiredOption('--reason <text>', 'why; shown by `bans` and kept in the audit file')
    .action((what: string, options: TouchOptions & { reason: string }) =>
      touch(io, OPERATOR_PATHS.ban, { target: banTarget(what), reason: options.reason }, options),
    );
  const unban = withTouch(new Command('unban'))
    .description('Lift a ban.')
    .argument('<what>', targetHelp)
    .action((what: string, options: TouchOptions) =>
      touch(io, OPERATOR_PATHS.unban, { target: banTarget(what) }, options),
    );
  const bans = withSocket(new Command('bans'))
    .description('List the bans.')
    .action((options: SocketOptions) => listBans(io, options));
  const release = withTouch(new Command('release'))
    .description('Let another staker use the name of a node that is gone.')
    .argument('<node>', 'node id')
    .action((node: string, options: TouchOptions) =>
      touch(io, OPERATOR_PATHS.release, { node_id: node }, options),
    );
  const unlock = withTouch(new Command('unlock'))
    .description('Accept registrations again from a node that was evicted with --lock.')
    .argument('<node>', 'node id')
    .action((node: string, options: TouchOptions) =>
      touch(io, OPERATOR_PATHS.unlock, { node_id: node }, options),
    );
  const breaker = withTouch(new Command('breaker'))
    .description('Show the breaker that stops mass evictions, or reset it after it has tripped.')
    .option('--reset', 'resume evictions')
    .action((options: TouchOptions & { reset?: boolean }) =>
      options.reset ? touch(io, OPERATOR_PATHS.breaker, { reset: true }, options) : showBreaker(io, options),
    );
  return [nodes, evict, ban, unban, bans, release, unlock, breaker];
}

const targetHelp = '<node id> | staker:<0x…> | key:<base64url of 32 bytes>';

function withSocket(command: Command): Command {
  return command
    .option('--socket <path>', 'the gateway’s socket', '/var/lib/k3s-daas-gateway/operator.sock')
    .option('--json', 'print one JSON object and nothing else');
}

function withTouch(command: Command): Command {
  return withSocket(command).option('--yes', 'do not ask').option('--dry-run', 'show the changes, make none');
}

/** `worker-1`, `node:worker-1`, `staker:0x…`, `key:…`. */
export function banTarget(text: string): { subject: 'node_id' | 'node_key' | 'staker'; value: string } {
  const [, prefix, value = ''] = /^(?:(node|staker|key):)?(.+)$/.exec(text) ?? [];
  if (prefix === 'staker' || (prefix === undefined && value.startsWith('0x')))
    return { subject: 'staker', value };
  return { subject: prefix === 'key' ? 'node_key' : 'node_id', value };
}

/** Asks the gateway what it would do, asks the human whether to do it, and has it done. */
async function touch(
  io: Io,
  path: string,
  command: Record<string, unknown>,
  options: TouchOptions,
): Promise<void> {
  const preview = await ask(options.socket, 'POST', path, CommandReply, { ...command, dry_run: true });
  if (preview.actions.length === 0) {
    io.result({ ...preview, dryRun: options.dryRun === true }, 'nothing to do');
    return;
  }
  if (options.dryRun) {
    io.result(
      { ...preview, dryRun: true },
      ['would:', ...preview.actions.map((action) => `  ${displayText(action)}`)].join('\n'),
    );
    return;
  }
  if (!options.yes) {
    for (const action of preview.actions) io.note(action);
    if (!(await io.confirm('Do this?'))) throw notConfirmed('nothing was done: the answer was no');
  }
  const reply = await ask(options.socket, 'POST', path, CommandReply, command);
  for (const action of reply.actions) io.step(action);
  io.result(
    { ...reply, dryRun: false },
    reply.done ? 'decided: the gateway is carrying it out' : 'nothing to do',
  );
}

async function listNodes(io: Io, { socket }: SocketOptions): Promise<void> {
  const { timestamp, nodes } = await ask(socket, 'GET', OPERATOR_PATHS.nodes, NodesReply);
  const heading = ['NODE', 'STATUS', 'STAKE', 'TIER', 'NODE READY', 'HEARTBEAT', 'PODS', 'INC', 'STAKER'];
  const rows = nodes.map((node) => nodeRow(node, timestamp));
  io.result({ timestamp, nodes }, nodes.length === 0 ? 'no staked nodes' : table([heading, ...rows]));
}

function nodeRow(node: NodeEntry, nowMs: number): string[] {
  const status = node.reason ? `${node.status} (${node.reason})` : node.status;
  const marks = [
    node.banned && 'banned',
    node.locked && 'locked',
    node.held_for && `held: ${node.held_for}`,
  ].filter((mark) => typeof mark === 'string');
  return [
    node.node_id,
    [status, ...marks].join(', '),
    node.fact,
    node.tier,
    node.node ? (node.node.ready ? 'yes' : 'no') : '-',
    node.last_heartbeat === null ? 'never' : `${Math.round((nowMs - node.last_heartbeat) / 1000)} s ago`,
    node.running_pods === null ? '-' : String(node.running_pods),
    String(node.incarnation),
    `${node.staker.slice(0, 10)}…`,
  ];
}

async function listBans(io: Io, { socket }: SocketOptions): Promise<void> {
  const { timestamp, bans } = await ask(socket, 'GET', OPERATOR_PATHS.bans, BansReply);
  const rows = bans.map((ban: BanEntry) => [
    ban.subject,
    ban.value,
    ban.reason,
    new Date(ban.since).toISOString(),
  ]);
  io.result(
    { timestamp, bans },
    bans.length === 0 ? 'no bans' : table([['WHAT', 'VALUE', 'REASON', 'SINCE'], ...rows]),
  );
}

async function showBreaker(io: Io, { socket }: SocketOptions): Promise<void> {
  const breaker = await ask(socket, 'GET', OPERATOR_PATHS.breaker, BreakerReply);
  const state =
    breaker.tripped_at === null
      ? 'at rest'
      : `tripped at ${new Date(breaker.tripped_at).toISOString()}; held: ${breaker.held.join(', ') || 'none'}`;
  io.result(breaker, state);
}

async function ask<T>(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  schema: z.ZodType<T>,
  body?: unknown,
): Promise<T> {
  const { status, text } = await send(socketPath, method, path, body);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  if (status === 200) {
    const reply = schema.safeParse(json);
    if (reply.success) return reply.data;
  }
  const problem = Problem.safeParse(json);
  if (problem.success)
    throw new DaasError(`DAAS_GATEWAY_${problem.data.code.toUpperCase()}`, displayText(problem.data.detail), {
      details: { status, reason: problem.data.code, requestId: problem.data.request_id },
    });
  throw new DaasError(
    'DAAS_GATEWAY_REPLY_INVALID',
    `what answers on ${socketPath} (HTTP ${status}) is not a gateway of this version`,
  );
}

/** The list of a hundred thousand nodes has some sixty megabytes. */
const longestReplyBytes = 256 * 1024 * 1024;

function send(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const outgoing = request(
    {
      socketPath,
      method,
      path,
      signal: AbortSignal.timeout(30_000),
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    },
    (incoming) => {
      readBody(incoming, longestReplyBytes).then(
        (body) => resolve({ status: incoming.statusCode ?? 0, text: body.toString('utf8') }),
        reject,
      );
    },
  );
  outgoing.once('error', (cause: NodeJS.ErrnoException) => reject(unreachable(socketPath, cause)));
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

function unreachable(socketPath: string, cause: NodeJS.ErrnoException): DaasError {
  if (cause.code === 'EACCES')
    return new ConfigurationError(
      'DAAS_GATEWAY_SOCKET_FORBIDDEN',
      `no permission to open the gateway's socket: ${socketPath}. Run this as the gateway's user or as root`,
      { cause },
    );
  return new DaasError(
    'DAAS_GATEWAY_SOCKET_UNREACHABLE',
    `no gateway answers on ${socketPath}. Check that it runs on this machine and that --socket is its gateway.socketPath`,
    { cause },
  );
}
