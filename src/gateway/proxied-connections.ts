import type { Server, Socket } from 'node:net';
import {
  LONGEST_PROXY_HEADER_BYTES,
  type ProxiedPeer,
  type ProxyHeader,
  readProxyHeader,
} from './proxy-header.ts';

export interface ProxiedConnectionsOptions {
  /** A connection was closed because of what it began with, or because its header did not come. */
  readonly onRefused: (reason: string) => void;
  readonly deadlineMs?: number;
  /** Connections whose header is not there yet. One more closes the oldest. */
  readonly mostWaiting?: number;
}

/**
 * Makes the connections of a Unix socket those of the clients that a proxy on this machine names (PROXY protocol): each has the
 * addresses of its header before anything else of the server sees it. Put on after what guards the connections.
 */
export function takeProxiedConnections(
  server: Server,
  { onRefused, deadlineMs = 3_000, mostWaiting = 1_024 }: ProxiedConnectionsOptions,
): { cutAll(): void } {
  const waiting = new Set<Socket>();
  const handlers = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const [oldest] = waiting;
    if (waiting.size >= mostWaiting) oldest?.destroy();
    waiting.add(socket);
    awaitHeader(socket, {
      deadlineMs,
      over: () => waiting.delete(socket),
      refuse(reason) {
        socket.destroy();
        onRefused(reason);
      },
      take(peer) {
        Object.defineProperties(socket, addressesOf(peer));
        for (const handle of handlers) Reflect.apply(handle, server, [socket]);
      },
    });
  });
  return {
    cutAll() {
      for (const socket of waiting) socket.destroy();
    },
  };
}

interface Wait {
  readonly deadlineMs: number;
  /** Comes once, before the outcome. */
  readonly over: () => void;
  readonly refuse: (reason: string) => void;
  readonly take: (peer: ProxiedPeer) => void;
}

function awaitHeader(socket: Socket, { deadlineMs, over, refuse, take }: Wait): void {
  let bytes: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => end(() => refuse('no header came in time')), deadlineMs).unref();
  const end = (outcome: () => void) => {
    clearTimeout(timer);
    socket.off('readable', read).off('end', leave).off('close', leave);
    over();
    outcome();
  };
  // A health check of the proxy connects and goes.
  const leave = () => end(() => socket.destroy());
  function read(): void {
    const chunk: Buffer | null = socket.read();
    // The end of what the peer sends is readable, too.
    if (chunk === null) return;
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const header = readProxyHeader(bytes.subarray(0, LONGEST_PROXY_HEADER_BYTES));
    if (header.kind === 'refused') end(() => refuse(header.reason));
    if (header.kind === 'header') end(() => pass(header));
  }
  function pass({ lengthBytes, peer }: Extract<ProxyHeader, { kind: 'header' }>): void {
    const rest = bytes.subarray(lengthBytes);
    if (rest.length > 0) socket.unshift(rest);
    take(peer);
  }
  socket.on('error', () => undefined);
  socket.on('readable', read).once('end', leave).once('close', leave);
}

/** Of its own, before those that the socket inherits: everything that asks a socket for its peer gets the client. */
function addressesOf({ address, port, localAddress, localPort }: ProxiedPeer): PropertyDescriptorMap {
  const remoteFamily = address.includes(':') ? 'IPv6' : 'IPv4';
  const values = { remoteAddress: address, remotePort: port, remoteFamily, localAddress, localPort };
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, { value, enumerable: true, configurable: true }]),
  );
}
