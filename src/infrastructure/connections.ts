import type { Server, Socket } from 'node:net';
import { createTally } from '#base';

/** One connection of a listener, from its accept to the end of its socket. */
export interface Connection {
  /** The budget that it counts against, such as an address. */
  readonly key: string;
  /** The owner that a proof on this connection has named; `undefined` without one. */
  readonly owner: string | undefined;
  /** From now on only its owner's newer connections, its own idle time-out and the end of the listener close it. */
  keepFor(owner: string): void;
  /** A reply was sent: without an owner the next request has to begin soon. */
  rest(): void;
  /** A request has begun. */
  wake(): void;
  /** At once: what is not sent yet is dropped, and the kernel keeps nothing of it. */
  cut(): void;
  /** Unless it has ended by itself by then. */
  cutAfter(delayMs: number): void;
}

interface ConnectionLimits {
  /** Connections without an owner, in all and of one key. One more closes the oldest of the key that has the most. */
  readonly most: number;
  readonly mostOfOneKey?: number;
  /** Connections of one owner. One more closes its oldest. */
  readonly mostOfOneOwner?: number;
  /** How long a connection may go without an owner, whatever it does. */
  readonly lifeMs?: number;
  /** How long a connection without an owner may wait between a reply and the next request. */
  readonly restMs?: number;
  /** For listeners with TLS: from the accept to the end of the handshake. */
  readonly handshakeMs?: number;
}

export interface GuardOptions extends ConnectionLimits {
  readonly keyOf?: (socket: Socket) => string;
  /** Asked before the connection costs anything; `false` closes it. */
  readonly admits?: (key: string, socket: Socket) => boolean;
  /** A connection was not let in, or closed to make room for another. */
  readonly onCut?: () => void;
}

export interface Connections {
  /** That of a request's socket, with or without TLS. */
  of(socket: Socket): Connection | undefined;
  readonly figures: ConnectionFigures;
  /** Closes all of them. */
  cutAll(): void;
}

export interface ConnectionFigures {
  readonly kept: number;
  readonly others: number;
  /** Since the start: not let in, and closed to make room. */
  readonly refused: number;
  readonly displaced: number;
}

/**
 * Watches over all connections of a listener, so that none is left open by any way a peer may find: each one is known from
 * its accept on by its own socket, below TLS and HTTP, and is closed there.
 */
export function guardConnections(server: Server, options: GuardOptions): Connections {
  const { keyOf = () => '', admits = () => true, onCut = () => undefined } = options;
  const all = new Map<Socket, Guarded>();
  const byPeer = new Map<string, Guarded>();
  /** Those with TLS by the socket above it, so that a request does not have to look for its peer. */
  const secured = new WeakMap<Socket, Guarded>();
  const strangers = createGroups();
  const owned = createGroups();
  let refused = 0;
  let displaced = 0;

  const displace = (victim: Guarded | undefined): void => {
    if (!victim) return;
    displaced += 1;
    victim.cut();
    onCut();
  };

  function accept(socket: Socket): boolean {
    const key = keyOf(socket);
    socket.on('error', () => undefined);
    if (!admits(key, socket)) {
      refused += 1;
      reset(socket);
      onCut();
      return false;
    }
    const peer = peerOf(socket);
    const connection = new Guarded(socket, key, options, {
      own: (one, owner) => {
        (one.owner === undefined ? strangers : owned).remove(one.owner ?? key, one);
        owned.add(owner, one);
        if (owned.count(owner) > (options.mostOfOneOwner ?? Number.POSITIVE_INFINITY))
          displace(owned.oldest(owner));
      },
      over: (one) => {
        all.delete(socket);
        if (byPeer.get(peer) === one) byPeer.delete(peer);
        (one.owner === undefined ? strangers : owned).remove(one.owner ?? key, one);
      },
    });
    all.set(socket, connection);
    byPeer.set(peer, connection);
    strangers.add(key, connection);
    if (strangers.count(key) > (options.mostOfOneKey ?? Number.POSITIVE_INFINITY))
      displace(strangers.oldest(key));
    if (strangers.total > options.most) displace(strangers.oldestOfHeaviest());
    return true;
  }

  // What the server does with a connection, the handshake first of all, happens only to those that are let in.
  const handlers = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (accept(socket)) for (const handle of handlers) Reflect.apply(handle, server, [socket]);
  });
  server.on('secureConnection', (socket: Socket) => {
    const connection = byPeer.get(peerOf(socket));
    if (!connection) return;
    secured.set(socket, connection);
    connection.secured();
  });

  return {
    of: (socket) => {
      const connection = secured.get(socket);
      // One that has ended is none, as it is by its peer.
      if (connection) return connection.isOver ? undefined : connection;
      return all.get(socket) ?? byPeer.get(peerOf(socket));
    },
    get figures() {
      return { kept: owned.total, others: strangers.total, refused, displaced };
    },
    cutAll() {
      for (const connection of all.values()) connection.cut();
    },
  };
}

/** Connections by key or owner, the oldest of each first. */
function createGroups() {
  const groups = new Map<string, Set<Guarded>>();
  const tally = createTally();
  const oldest = (key: string | undefined) =>
    key === undefined ? undefined : groups.get(key)?.values().next().value;
  return {
    add(key: string, connection: Guarded): void {
      tally.add(key);
      const group = groups.get(key);
      if (group) group.add(connection);
      else groups.set(key, new Set([connection]));
    },
    remove(key: string, connection: Guarded): void {
      const group = groups.get(key);
      if (!group?.delete(connection)) return;
      tally.remove(key);
      if (group.size === 0) groups.delete(key);
    },
    count: (key: string) => tally.count(key),
    oldest,
    oldestOfHeaviest: () => oldest(tally.heaviest()),
    get total() {
      return tally.total;
    },
  };
}

interface Guard {
  own(connection: Guarded, owner: string): void;
  over(connection: Guarded): void;
}

class Guarded implements Connection {
  readonly key: string;
  #owner: string | undefined;
  readonly #socket: Socket;
  readonly #guard: Guard;
  readonly #restMs: number | undefined;
  readonly #handshake: NodeJS.Timeout | undefined;
  readonly #life: NodeJS.Timeout | undefined;
  #rest: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(socket: Socket, key: string, limits: ConnectionLimits, guard: Guard) {
    this.key = key;
    this.#socket = socket;
    this.#guard = guard;
    this.#restMs = limits.restMs;
    this.#handshake = this.#cutIn(limits.handshakeMs);
    this.#life = this.#cutIn(limits.lifeMs);
    socket.once('close', () => this.#end());
  }

  get owner(): string | undefined {
    return this.#owner;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  keepFor(owner: string): void {
    if (this.#isOver || this.#owner === owner) return;
    clearTimeout(this.#life);
    this.#guard.own(this, owner);
    this.#owner = owner;
  }

  secured(): void {
    clearTimeout(this.#handshake);
  }

  rest(): void {
    clearTimeout(this.#rest);
    if (this.#owner === undefined) this.#rest = this.#cutIn(this.#restMs);
  }

  wake(): void {
    clearTimeout(this.#rest);
  }

  cut(): void {
    // Before the socket says so itself: its place is free now.
    this.#end();
    reset(this.#socket);
  }

  cutAfter(delayMs: number): void {
    const timer = this.#cutIn(delayMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #cutIn(delayMs: number | undefined): NodeJS.Timeout | undefined {
    if (delayMs === undefined) return undefined;
    return setTimeout(() => this.cut(), delayMs).unref();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of [this.#handshake, this.#life, this.#rest]) clearTimeout(timer);
    this.#guard.over(this);
  }
}

/** The two ends of one TCP connection are one of a kind among those of a listener that are open. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** A socket that is only destroyed leaves its unsent bytes to the kernel, which keeps them for minutes. */
function reset(socket: Socket): void {
  try {
    if (!socket.destroyed) socket.resetAndDestroy();
  } catch {
    // No TCP: a Unix socket.
    socket.destroy();
  }
}

/** Sockets that were just closed are reported by the server in its next turns; it is not waited for without end. */
const lastTurnsMs = 1_000;

/**
 * Ends a listener: nothing new is taken, and what is still open after `graceMs` is closed. Resolves whatever the peers do;
 * `false`: the server itself has not said that it is closed.
 */
export async function closeListener(
  server: Server,
  connections: Connections,
  graceMs: number,
): Promise<boolean> {
  const { promise: isClosed, resolve } = Promise.withResolvers<boolean>();
  server.close(() => resolve(true));
  let last: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    connections.cutAll();
    last = setTimeout(() => resolve(false), lastTurnsMs);
  }, graceMs);
  try {
    return await isClosed;
  } finally {
    clearTimeout(timer);
    clearTimeout(last);
  }
}
