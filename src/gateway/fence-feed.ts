import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { type Clock, errorFields, type Log } from '#base';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';
import type { Audit } from './audit.ts';
import { bannedNames } from './authorizer-files.ts';
import { banKey } from './bans.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { createFailureLog } from './failure-log.ts';
import { type FenceOrders, fenceFile, fenceText, noFence, parseFenceFile } from './fence-file.ts';
import { operatorsNodeAddresses } from './node-addresses.ts';
import { peerAddress } from './peer-address.ts';
import { peerKey, peersToFence } from './peers-to-fence.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import type { TokenUsage } from './token-usage.ts';
import { isAdmitted } from './worker.ts';

export interface FenceFeedOptions {
  readonly config: Pick<RunnableGatewayConfig, 'stateDir' | 'server' | 'heartbeatIntervalMs'>;
  readonly registry: Pick<Registry, 'bans' | 'worker' | 'onBanChange' | 'onWorkerChange'>;
  readonly reconciler: Pick<Reconciler, 'nodes' | 'names'>;
  readonly usage: Pick<TokenUsage, 'peersOf' | 'usersOf' | 'onNewPeer'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Of this machine. */
  readonly ownAddresses?: () => readonly string[];
}

interface Feed extends FenceFeedOptions {
  readonly path: string;
  /** By then every honest node has been heard, and it is known who has an address. */
  readonly settledAtMs: number;
  orders: FenceOrders;
  /** Addresses of `orders.peers`. */
  fenced: ReadonlySet<string>;
  /** Something that the fence depends on has changed. */
  isDue: boolean;
  lookedAtMs: number;
}

const settlingHeartbeats = 3;
const tickMs = 1_000;
/** What nobody reports: uses that are an hour old, bans whose certificates have expired, Nodes with another address. */
const lookEveryMs = 60_000;

/**
 * Keeps the file that names the peers of banned nodes: addresses of sockets that the kernel has accepted for the gateway and
 * on which the node's key has signed, never what a worker says of itself. Until the signal aborts.
 */
export async function followFence(options: FenceFeedOptions, signal: AbortSignal): Promise<void> {
  const { config, clock, log } = options;
  const failures = createFailureLog(options, {
    failed: 'The peers of banned nodes could not be written',
    worked: 'The peers of banned nodes are written again',
  });
  const path = fenceFile(config);
  makeTrustedDirectory(dirname(path), { what: 'the directory of the fence', origin: 'gateway.stateDir' });
  const orders = await earlierOrders(path, log);
  const fenced = new Set<string>();
  const nowMs = clock.monotonicMs();
  const settledAtMs = nowMs + settlingHeartbeats * config.heartbeatIntervalMs;
  const feed: Feed = { ...options, path, settledAtMs, orders, fenced, isDue: true, lookedAtMs: nowMs };
  setOrders(feed, orders);
  watchChanges(feed);
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs();
    if (feed.isDue || nowMs - feed.lookedAtMs >= lookEveryMs) {
      feed.isDue = false;
      feed.lookedAtMs = nowMs;
      await look(feed).then(
        () => failures.worked(),
        (error: unknown) => {
          feed.isDue = true;
          failures.failed(error);
        },
      );
    }
    await clock.sleep(tickMs, signal).catch(() => undefined);
  }
}

function setOrders(feed: Feed, orders: FenceOrders): void {
  feed.orders = orders;
  feed.fenced = new Set(orders.peers.map(({ address }) => address));
}

/** Marks a look as due: each report costs the same, however many workers there are. */
function watchChanges(feed: Feed): void {
  const { registry, usage } = feed;
  const isBanned = (nodeId: string) => registry.bans().has(banKey({ subject: 'node_id', value: nodeId }));
  const concern = (nodeId: string, peers: readonly string[]) => {
    if (isBanned(nodeId) || peers.some((peer) => feed.fenced.has(peer))) feed.isDue = true;
  };
  registry.onBanChange(() => {
    feed.isDue = true;
  });
  registry.onWorkerChange((before, after) => {
    const nodeId = (after ?? before)?.nodeId ?? '';
    concern(nodeId, usage.peersOf(nodeId));
  });
  usage.onNewPeer((nodeId, peer) => concern(nodeId, [peer]));
}

async function look(feed: Feed): Promise<void> {
  const { path, registry, usage, audit, clock, orders: before } = feed;
  const banned = bannedNames(registry.bans().values(), (nodeId) => registry.worker(nodeId), clock.nowMs());
  if (banned.length === 0 && before.peers.length + before.shared.length === 0) return;
  const operators = operatorsAddresses(feed, new Set(banned));
  const isSettled = operators !== undefined && clock.monotonicMs() >= feed.settledAtMs;
  if (!isSettled) feed.isDue = true;
  const sharerOf = (address: string) => {
    const nodeId = usage.usersOf(address).find((one) => isLive(feed, one));
    return nodeId === undefined ? operators?.get(address) : `node ${nodeId}`;
  };
  // Before it is settled who has an address, none is fenced that was not, and what was left open stays so.
  const orders = isSettled
    ? peersToFence({ banned, before, peersOf: (nodeId) => usage.peersOf(nodeId), sharerOf })
    : peersToFence({
        banned,
        before,
        peersOf: () => [],
        sharerOf: (address) =>
          sharerOf(address) ?? before.shared.find((peer) => peer.address === address)?.sharedWith,
      });
  const text = fenceText(orders);
  if (text === fenceText(before)) return;
  // Before it is written: an admitted node that comes meanwhile makes another look due.
  setOrders(feed, orders);
  try {
    await replaceFile(path, text, 0o644);
  } catch (error) {
    setOrders(feed, before);
    throw error;
  }
  recordChange(audit, before, orders);
}

function isLive({ registry }: Feed, nodeId: string): boolean {
  const worker = registry.worker(nodeId);
  return worker !== undefined && isAdmitted(worker);
}

/**
 * Addresses of Nodes without a stake and of the servers, as far as the gateway knows them, with who has them; `undefined`: not
 * read yet. What a staked Node says of itself does not count: it could have a slashed one spared.
 */
function operatorsAddresses(
  { config, reconciler, ownAddresses = addressesOfThisMachine }: Feed,
  banned: ReadonlySet<string>,
): ReadonlyMap<string, string> | undefined {
  const [nodes, names] = [reconciler.nodes(), reconciler.names()];
  if (!nodes || !names) return undefined;
  const known = new Map<string, string>();
  const add = (given: string, who: string) => {
    const address = peerAddress(given);
    if (address !== undefined) known.set(address, who);
  };
  const unbanned = new Map([...nodes].filter(([name]) => !banned.has(name)));
  for (const [address, name] of operatorsNodeAddresses(unbanned, names)) add(address, `node ${name}`);
  for (const address of ownAddresses()) add(address, 'the gateway');
  const host = new URL(config.server).hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) add(host, 'gateway.server');
  return known;
}

const addressesOfThisMachine = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((one) => (one ?? []).map(({ address }) => address));

function recordChange(audit: Pick<Audit, 'record'>, before: FenceOrders, after: FenceOrders): void {
  const [fenced, shared] = [before.peers, before.shared].map((peers) => new Set(peers.map(peerKey)));
  for (const peer of after.peers)
    if (!fenced?.has(peerKey(peer)))
      audit.record('fence.peer', { node_id: peer.nodeId, address: peer.address });
  for (const peer of after.shared)
    if (!shared?.has(peerKey(peer))) {
      const { nodeId, address, sharedWith } = peer;
      audit.record('fence.shared', { node_id: nodeId, address, shared_with: sharedWith });
    }
}

/** A gateway that has restarted knows no addresses, and those from before count on. */
async function earlierOrders(path: string, log: Log): Promise<FenceOrders> {
  try {
    return parseFenceFile(
      await readTrustedText(path, { what: 'the peers of banned nodes', origin: 'gateway.stateDir' }),
    );
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      log.warn('The peers of banned nodes from before cannot be read', errorFields(error));
    return noFence;
  }
}
