import { Command } from 'commander';
import { displayText } from '#base';
import { BansReply, BreakerReply, CommandReply, NodesReply, OPERATOR_PATHS } from '#gateway';
import { type NodeFilter, nodesView } from './gateway-nodes.ts';
import { bansText, breakerText, camelCased } from './gateway-views.ts';
import { type Io, notConfirmed } from './io.ts';
import { ask } from './operator-client.ts';

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
    .description(
      'List the staked nodes: state, stake, heartbeat, Kubernetes Node. With a full node id, show every detail of that node.',
    )
    .argument('[name]', "a node id, or a prefix and a star: 'rack-1-*'")
    .option('--state <state>', 'joining, member, held, evicting, evicted or lapsed')
    .option('--tier <tier>', 'basic, standard or premium')
    .option('--all', 'include nodes that left more than an hour ago')
    .action((name: string | undefined, options: SocketOptions & NodeFilter) =>
      listNodes(io, { ...options, name }),
    );
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
    io.result({ ...preview, dryRun: options.dryRun === true }, 'nothing to do: it is so already');
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
  for (const warning of reply.warnings) io.warn(warning);
  io.result(
    { ...reply, dryRun: false },
    reply.done ? 'decided: the gateway is carrying it out' : 'nothing to do',
  );
}

async function listNodes(io: Io, { socket, ...filter }: SocketOptions & NodeFilter): Promise<void> {
  const reply = await ask(socket, 'GET', OPERATOR_PATHS.nodes, NodesReply);
  const { shown, hidden, text } = nodesView(reply, filter);
  io.result({ timestamp: reply.timestamp, nodes: shown.map(camelCased), hidden }, text);
}

async function listBans(io: Io, { socket }: SocketOptions): Promise<void> {
  const { timestamp, bans } = await ask(socket, 'GET', OPERATOR_PATHS.bans, BansReply);
  io.result({ timestamp, bans: bans.map(camelCased) }, bansText(bans, timestamp));
}

async function showBreaker(io: Io, { socket }: SocketOptions): Promise<void> {
  const breaker = await ask(socket, 'GET', OPERATOR_PATHS.breaker, BreakerReply);
  io.result(camelCased(breaker), breakerText(breaker));
}
