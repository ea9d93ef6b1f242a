import type { Server, Socket } from 'node:net';
import type { Clock, Log } from '#base';
import { type Connections, guardConnections } from '#infrastructure';
import type { GatewayConfig } from './config.ts';
import { takeProxiedConnections } from './proxied-connections.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';

/** From the accept to the end of the TLS handshake. */
const handshakeMs = 5_000;
/** The life of a stranger's connection: as long as the longest registration takes, whatever it is used for. */
const strangersLifeMs = 60_000;
/** How long a stranger may wait between a reply and the next request. */
export const STRANGERS_REST_MS = 5_000;
const mostKnownAddresses = 100_000;
/**
 * Handshakes of one address that the budget of the newcomers pays. Without it a few dozen addresses that open all they
 * may at once leave nothing to an address that asks for the first time.
 */
const newcomersHandshakes = 10;
const reportEveryMs = 10_000;

export interface PublicConnections extends Connections {
  /** A worker's proof was accepted on this socket: strangers cannot displace it, and its address is known. */
  prove(socket: Socket, nodeId: string): void;
}

/** How long a worker's connection may be idle: two heartbeats may be missed, and the third still finds it. */
export function keptIdleMs(heartbeatIntervalMs: number): number {
  return Math.max(STRANGERS_REST_MS, 2.5 * heartbeatIntervalMs);
}

interface GuardContext {
  /** TLS ends at a proxy on this machine: there is no handshake to wait for. */
  readonly isProxied: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** Limits the connections of the public port: those of strangers never displace a known worker's. */
export function guardPublicPort(
  server: Server,
  limits: GatewayConfig['limits'],
  { isProxied, clock, log }: GuardContext,
): PublicConnections {
  const addresses = createRateLimit({
    ratePerSecond: limits.addressHandshakeRate,
    burst: limits.addressHandshakeBurst,
  });
  const inAll = createRateLimit({ ratePerSecond: limits.handshakeRate, burst: limits.handshakeBurst });
  const known = new Set<string>();
  const report = occasionally(clock, () => {
    const { kept, others, refused, displaced } = connections.figures;
    log.warn('Connections were cut off to protect the others', {
      keptConnections: kept,
      otherConnections: others,
      refusedConnections: refused,
      displacedConnections: displaced,
    });
  });

  const connections = guardConnections(server, {
    most: limits.connections,
    mostOfOneKey: limits.addressConnections,
    mostOfOneOwner: limits.nodeConnections,
    lifeMs: strangersLifeMs,
    restMs: STRANGERS_REST_MS,
    ...(!isProxied && { handshakeMs }),
    keyOf: (socket) => addressKey(socket.remoteAddress ?? ''),
    admits(address, { localAddress, remoteAddress }) {
      const nowMs = clock.monotonicMs();
      // The readiness probe comes from this machine.
      const isKnown = known.has(address) || localAddress === remoteAddress;
      const isNewcomer = addresses.spent(address, nowMs) < newcomersHandshakes;
      const budget = isKnown ? 'known' : isNewcomer ? 'newcomers' : 'strangers';
      // The address's own budget first: an address that has spent it takes nothing of the common one.
      return addresses.take(address, nowMs) === 0 && inAll.take(budget, nowMs) === 0;
    },
    onCut: report,
  });

  // Put on last, so that all of the above sees the client's address, not the proxy's.
  const waiting = isProxied
    ? takeProxiedConnections(server, { onRefused: reporterOfHeaders(clock, log) })
    : undefined;

  return {
    of: (socket) => connections.of(socket),
    get figures() {
      return connections.figures;
    },
    cutAll() {
      waiting?.cutAll();
      connections.cutAll();
    },
    prove(socket, nodeId) {
      const connection = connections.of(socket);
      if (!connection) return;
      connection.keepFor(nodeId);
      // Deleted and added again: the first of the set is then the one longest unused.
      known.delete(connection.key);
      known.add(connection.key);
      const [oldest] = known;
      if (known.size > mostKnownAddresses && oldest !== undefined) known.delete(oldest);
    },
  };
}

function reporterOfHeaders(clock: Clock, log: Log): (reason: string) => void {
  return occasionally(clock, (reason) =>
    log.warn('A connection to gateway.listen.proxySocket was closed: no valid PROXY header', { reason }),
  );
}

/** Passes one report per interval on, at most: a flood of connections must not flood the log. */
function occasionally<T extends readonly unknown[]>(
  clock: Clock,
  say: (...facts: T) => void,
): (...facts: T) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (...facts) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lastMs < reportEveryMs) return;
    lastMs = nowMs;
    say(...facts);
  };
}
