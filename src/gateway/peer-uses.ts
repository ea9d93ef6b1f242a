/** From which addresses each node has connected, and who has connected from an address. */
export interface PeerUses {
  note(nodeId: string, peer: string, atMs: number): void;
  /** Addresses that the node has used since then. */
  of(nodeId: string, sinceMs: number): readonly string[];
  /** Nodes that have used the address since then. */
  usersOf(peer: string, sinceMs: number): readonly string[];
  /** Told of each address that a node had not used before. */
  onNew(listener: (nodeId: string, peer: string) => void): void;
  forget(sinceMs: number): void;
}

/** Of one node; the one longest unused goes first. */
const MOST_PEERS = 64;

export function createPeerUses(): PeerUses {
  const nodes = new Map<string, Map<string, number>>();
  const users = new Map<string, Set<string>>();
  const listeners: Array<(nodeId: string, peer: string) => void> = [];

  function drop(nodeId: string, peer: string): void {
    const peers = nodes.get(nodeId);
    peers?.delete(peer);
    if (peers?.size === 0) nodes.delete(nodeId);
    const own = users.get(peer);
    own?.delete(nodeId);
    if (own?.size === 0) users.delete(peer);
  }
  const lastUse = (nodeId: string, peer: string) => nodes.get(nodeId)?.get(peer) ?? Number.NEGATIVE_INFINITY;

  return {
    note(nodeId, peer, atMs) {
      const peers = nodes.get(nodeId) ?? new Map<string, number>();
      nodes.set(nodeId, peers);
      // Deleted and set again: a map keeps the order of insertion, so the first is the one longest unused.
      const isNew = !peers.delete(peer);
      peers.set(peer, atMs);
      if (!isNew) return;
      const own = users.get(peer) ?? new Set<string>();
      users.set(peer, own.add(nodeId));
      const [oldest] = peers.keys();
      if (peers.size > MOST_PEERS && oldest !== undefined) drop(nodeId, oldest);
      for (const listener of listeners) listener(nodeId, peer);
    },
    of: (nodeId, sinceMs) =>
      [...(nodes.get(nodeId) ?? [])].flatMap(([peer, atMs]) => (atMs > sinceMs ? [peer] : [])),
    usersOf: (peer, sinceMs) =>
      [...(users.get(peer) ?? [])].filter((nodeId) => lastUse(nodeId, peer) > sinceMs),
    onNew: (listener) => void listeners.push(listener),
    forget(sinceMs) {
      for (const [nodeId, peers] of nodes)
        for (const [peer, atMs] of peers) if (atMs <= sinceMs) drop(nodeId, peer);
    },
  };
}
