import { Command } from 'commander';
import type { NodeFilter } from './gateway-nodes.ts';
import type { SocketOptions, TouchOptions } from './gateway-operator.ts';
import type { Io } from './io.ts';

// Help must not load the schemas of the replies: the actions are in a file of their own.
const operator = () => import('./gateway-operator.ts');

/** `k3s-daas gateway nodes|why|evict|ban|unban|bans|release|unlock|breaker`: the operator's commands to a running gateway. */
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
      operator().then(({ listNodes }) => listNodes(io, { ...options, name })),
    );
  const why = withSocket(new Command('why'))
    .description(
      'Show why a node is in the cluster or not: stake, token, facts, bans, policy, certificates, last decisions, and what would let it in.',
    )
    .argument('<node>', 'node id; also one that this gateway has never admitted')
    .action((node: string, options: SocketOptions) =>
      operator().then(({ showWhy }) => showWhy(io, node, options)),
    );
  const evict = withTouch(new Command('evict'))
    .description(
      'Remove a node from the cluster now. With a good stake it can come back, unless you pass --lock.',
    )
    .argument('<node>', 'node id')
    .option('--lock', 'also reject its registrations until `unlock`')
    .action((node: string, options: TouchOptions & { lock?: boolean }) =>
      operator().then(({ evict }) => evict(io, { node, lock: options.lock === true }, options)),
    );
  const ban = withTouch(new Command('ban'))
    .description(
      'Reject a node id, a node key or new names of a staker until `unban`, and remove their running nodes.',
    )
    .argument('<what>', targetHelp)
    .requiredOption('--reason <text>', 'why; shown by `bans` and kept in the audit file')
    .action((what: string, options: TouchOptions & { reason: string }) =>
      operator().then(({ ban }) => ban(io, { what, reason: options.reason }, options)),
    );
  const unban = withTouch(new Command('unban'))
    .description('Lift a ban.')
    .argument('<what>', targetHelp)
    .action((what: string, options: TouchOptions) =>
      operator().then(({ unban }) => unban(io, what, options)),
    );
  const bans = withSocket(new Command('bans'))
    .description('List the bans.')
    .action((options: SocketOptions) => operator().then(({ listBans }) => listBans(io, options)));
  const release = withTouch(new Command('release'))
    .description('Let another staker use the name of a node that is gone.')
    .argument('<node>', 'node id')
    .action((node: string, options: TouchOptions) =>
      operator().then(({ release }) => release(io, node, options)),
    );
  const unlock = withTouch(new Command('unlock'))
    .description('Accept registrations again from a node that was evicted with --lock.')
    .argument('<node>', 'node id')
    .action((node: string, options: TouchOptions) =>
      operator().then(({ unlock }) => unlock(io, node, options)),
    );
  const breaker = withTouch(new Command('breaker'))
    .description('Show the breaker that stops mass evictions, or reset it after it has tripped.')
    .option('--reset', 'resume evictions')
    .action((options: TouchOptions & { reset?: boolean }) =>
      operator().then(({ resetBreaker, showBreaker }) =>
        options.reset ? resetBreaker(io, options) : showBreaker(io, options),
      ),
    );
  return [nodes, why, evict, ban, unban, bans, release, unlock, breaker];
}

const targetHelp = '<node id> | staker:<0x…> | key:<base64url of 32 bytes>';

function withSocket(command: Command): Command {
  return command
    .option('--socket <path>', 'the gateway’s socket', '/var/lib/k3s-daas-gateway/operator.sock')
    .option('--operator <file>', 'a gateway on another machine: what `gateway operator add` has written')
    .option('--json', 'print one JSON object and nothing else');
}

function withTouch(command: Command): Command {
  return withSocket(command).option('--yes', 'do not ask').option('--dry-run', 'show the changes, make none');
}
