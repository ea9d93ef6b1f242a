import { displayText } from '#base';
import { BansReply, BreakerReply, CommandReply, NodesReply, OPERATOR_PATHS, WhyReply } from '#gateway';
import { claimsText } from './gateway-claims.ts';
import { type NodeFilter, nodesView } from './gateway-nodes.ts';
import { bansText, breakerText, camelCased } from './gateway-views.ts';
import { whyText, withEvidenceAdvice } from './gateway-why.ts';
import { type Io, notConfirmed } from './io.ts';
import { ask, type GatewayPlace } from './operator-client.ts';

export type SocketOptions = GatewayPlace;
export interface TouchOptions extends SocketOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

export function evict(
  io: Io,
  { node, lock }: { readonly node: string; readonly lock: boolean },
  options: TouchOptions,
): Promise<void> {
  return touch(io, OPERATOR_PATHS.evict, { node_id: node, lock }, options);
}

export function ban(
  io: Io,
  { what, reason }: { readonly what: string; readonly reason: string },
  options: TouchOptions,
): Promise<void> {
  return touch(io, OPERATOR_PATHS.ban, { target: banTarget(what), reason }, options);
}

export function unban(io: Io, what: string, options: TouchOptions): Promise<void> {
  return touch(io, OPERATOR_PATHS.unban, { target: banTarget(what) }, options);
}

export function release(io: Io, node: string, options: TouchOptions): Promise<void> {
  return touch(io, OPERATOR_PATHS.release, { node_id: node }, options);
}

export function unlock(io: Io, node: string, options: TouchOptions): Promise<void> {
  return touch(io, OPERATOR_PATHS.unlock, { node_id: node }, options);
}

export function resetBreaker(io: Io, options: TouchOptions): Promise<void> {
  return touch(io, OPERATOR_PATHS.breaker, { reset: true }, options);
}

/** `worker-1`, `node:worker-1`, `staker:0x…`, `key:…`. */
export function banTarget(text: string): { subject: 'node_id' | 'node_key' | 'staker'; value: string } {
  const [, prefix, value = ''] = /^(?:(node|staker|key):)?(.+)$/.exec(text) ?? [];
  if (prefix === 'staker' || (prefix === undefined && value.startsWith('0x')))
    return { subject: 'staker', value };
  return { subject: prefix === 'key' ? 'node_key' : 'node_id', value };
}

/** Shows what the gateway would do, asks for confirmation, and has it done. */
async function touch(
  io: Io,
  path: string,
  command: Record<string, unknown>,
  options: TouchOptions,
): Promise<void> {
  const preview = await ask(options, 'POST', path, CommandReply, { ...command, dry_run: true });
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
  const reply = await ask(options, 'POST', path, CommandReply, command);
  for (const action of reply.actions) io.step(action);
  for (const warning of reply.warnings) io.warn(warning);
  io.result(
    { ...reply, dryRun: false },
    reply.done ? 'decided: the gateway is carrying it out' : 'nothing to do',
  );
}

export async function listNodes(
  io: Io,
  { socket, operator, ...filter }: SocketOptions & NodeFilter,
): Promise<void> {
  const reply = await ask({ socket, operator }, 'GET', OPERATOR_PATHS.nodes, NodesReply);
  const { shown, hidden, text } = nodesView(reply, filter);
  const { timestamp, claims_count: claimsCount } = reply;
  // A list of chosen nodes is about these.
  const isAll = filter.name === undefined && filter.state === undefined && filter.tier === undefined;
  const claims = isAll ? claimsText(reply.claims, claimsCount, timestamp) : undefined;
  io.result(
    {
      timestamp,
      gateway: reply.gateway && camelCased(reply.gateway),
      nodes: shown.map(camelCased),
      hidden,
      claims: reply.claims.map(camelCased),
      claimsCount,
      chainEndpoints: reply.chain_endpoints.map(camelCased),
      chainProof: reply.chain_proof && camelCased(reply.chain_proof),
      chainProbe: reply.chain_probe && camelCased(reply.chain_probe),
    },
    claims === undefined ? text : `${text}\n\n${claims}`,
  );
}

export async function showWhy(io: Io, node: string, place: SocketOptions): Promise<void> {
  const reply = await ask(place, 'GET', OPERATOR_PATHS.why + encodeURIComponent(node), WhyReply);
  const advised = await withEvidenceAdvice(reply);
  io.result(camelCased(advised), whyText(advised));
}

export async function listBans(io: Io, place: SocketOptions): Promise<void> {
  const { timestamp, bans } = await ask(place, 'GET', OPERATOR_PATHS.bans, BansReply);
  io.result({ timestamp, bans: bans.map(camelCased) }, bansText(bans, timestamp));
}

export async function showBreaker(io: Io, place: SocketOptions): Promise<void> {
  const breaker = await ask(place, 'GET', OPERATOR_PATHS.breaker, BreakerReply);
  io.result(camelCased(breaker), breakerText(breaker));
}
