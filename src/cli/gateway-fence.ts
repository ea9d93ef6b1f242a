import { BlockList, isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { type Clock, ConfigurationError, messageOf, systemClock } from '#base';
import { fenceFile, parseFenceFile } from '#gateway';
import { readSmall } from './authorizer-files.ts';
import { commandFence } from './command-fence.ts';
import type { Fence, FenceCounter } from './fence.ts';
import { gatewaySection } from './gateway-config.ts';
import { type Io, table } from './io.ts';
import { nftablesFence, tableScript } from './nftables-fence.ts';
import { loadGatewaySettings } from './settings.ts';

export interface FenceFlags {
  readonly config?: string;
  /** TCP ports of this server to keep peers away from; that of `gateway.server` unless given. */
  readonly port?: readonly number[];
  /** A program in place of nftables. */
  readonly command?: string;
  /** Addresses and ranges that are never fenced. */
  readonly spare?: readonly string[];
  readonly once?: boolean;
  readonly print?: boolean;
  readonly counters?: boolean;
  readonly remove?: boolean;
}

const lookEveryMs = 1_000;
/** Somebody may have flushed the rules. */
const assertEveryMs = 60_000;

/**
 * `k3s-daas gateway fence`, as root on each k3s server: keeps the peers of banned nodes away from the server's ports, which the
 * authorizer and the policies cannot: open watches and the answers of k3s' supervisor.
 */
export async function serveFence(io: Io, flags: FenceFlags): Promise<void> {
  const config = gatewaySection(await loadGatewaySettings({ file: flags.config }));
  const ports = flags.port ?? [Number(new URL(config.server).port || 443)];
  const fence = flags.command === undefined ? nftablesFence(ports) : commandFence(flags.command);
  if (flags.print) {
    io.result({ ruleset: tableScript(ports) }, tableScript(ports));
    return;
  }
  if (flags.remove) {
    await fence.remove();
    io.result({ removed: true }, 'The fence is gone.');
    return;
  }
  if (flags.counters) return showCounters(io, await fence.counters());
  const site: Site = {
    io,
    fence,
    file: fenceFile(config),
    spared: sparedAddresses(flags.spare ?? []),
    clock: systemClock,
    applied: undefined,
    appliedAtMs: Number.NEGATIVE_INFINITY,
  };
  await look(site);
  if (flags.once) return showCounters(io, await fence.counters());
  await keepLooking(site);
}

interface Site {
  readonly io: Io;
  readonly fence: Fence;
  readonly file: string;
  readonly spared: BlockList;
  readonly clock: Clock;
  applied: string | undefined;
  appliedAtMs: number;
}

async function keepLooking(site: Site): Promise<void> {
  const { io, clock } = site;
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  let failure = '';
  while (!stop.signal.aborted) {
    await clock.sleep(lookEveryMs, stop.signal).catch(() => undefined);
    if (stop.signal.aborted) return;
    try {
      await look(site);
      failure = '';
    } catch (error) {
      // Said once. What was built before stays.
      if (messageOf(error) !== failure) io.warn(messageOf(error));
      failure = messageOf(error);
    }
  }
}

async function look(site: Site): Promise<void> {
  const { io, fence, file, spared, clock } = site;
  // The gateway writes an empty list when the last ban is lifted: a file that is missing opens nothing.
  const text = await readSmall(file, '');
  if (text === '') return;
  const nowMs = clock.monotonicMs();
  if (text === site.applied && nowMs - site.appliedAtMs < assertEveryMs) return;
  const orders = ordersIn(text, file);
  const isSpared = ({ address }: { readonly address: string }) =>
    spared.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  const addresses = [
    ...new Set(orders.peers.filter((peer) => !isSpared(peer)).map(({ address }) => address)),
  ];
  await fence.apply({ addresses });
  if (text !== site.applied) report(io, orders, { addresses, isSpared });
  site.applied = text;
  site.appliedAtMs = nowMs;
}

/** What is fenced, and what of banned nodes is not, and why. */
function report(
  io: Io,
  { peers, shared, unusable }: ReturnType<typeof ordersIn>,
  {
    addresses,
    isSpared,
  }: {
    readonly addresses: readonly string[];
    readonly isSpared: (peer: { readonly address: string }) => boolean;
  },
): void {
  const words = ({ nodeId, address }: { readonly nodeId: string; readonly address: string }) =>
    `${nodeId} ${address}`;
  const fenced = peers.filter((peer) => !isSpared(peer));
  io.step(`fenced ${addresses.length} addresses`, fenced.map(words).join(', '));
  const open = [
    ...peers.filter(isSpared).map((peer) => `${words(peer)} (spared here)`),
    ...shared.map((peer) => `${words(peer)} (${peer.sharedWith} has it too)`),
  ];
  if (open.length > 0) io.step(`left ${open.length} addresses of banned nodes open`, open.join(', '));
  if (unusable > 0) io.warn(`${unusable} entries of the gateway's list are no addresses: left out`);
}

/** The gateway's user wrote it: nothing of it may become part of a rule but addresses. */
function ordersIn(text: string, file: string) {
  try {
    return parseFenceFile(text);
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_FENCE_FILE',
      `${file} is no list of peers: the fence stays as it is; restart the gateway, and look at who wrote this file`,
      { cause },
    );
  }
}

/** What would cut this machine, or the cluster, off from itself. */
function sparedAddresses(given: readonly string[], interfaces = networkInterfaces()): BlockList {
  const spared = new BlockList();
  for (const [net, prefix] of [
    ['0.0.0.0', 8],
    ['127.0.0.0', 8],
    ['224.0.0.0', 3],
  ] as const)
    spared.addSubnet(net, prefix, 'ipv4');
  spared.addSubnet('::', 127, 'ipv6');
  spared.addSubnet('ff00::', 8, 'ipv6');
  for (const { address } of Object.values(interfaces).flatMap((one) => one ?? []))
    spared.addAddress(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  for (const range of given) {
    const [net = '', prefix] = range.split('/');
    const family = isIPv6(net) ? 'ipv6' : 'ipv4';
    const bits = prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix);
    if (isIP(net) === 0 || !Number.isInteger(bits) || bits < 0 || bits > (family === 'ipv6' ? 128 : 32))
      throw new ConfigurationError(
        'DAAS_COMMAND_LINE_INVALID',
        `--spare: '${range}' is no address and no range: give one like 192.0.2.7 or 192.0.2.0/24`,
      );
    spared.addSubnet(net, bits, family);
  }
  return spared;
}

function showCounters(io: Io, counters: readonly FenceCounter[]): void {
  io.result(
    { counters },
    counters.length === 0
      ? 'No address is fenced, or the fence does not count.'
      : table([
          ['ADDRESS', 'DROPPED PACKETS', 'BYTES'],
          ...counters.map(({ address, packets, bytes }) => [address, String(packets), String(bytes)]),
        ]),
  );
}
