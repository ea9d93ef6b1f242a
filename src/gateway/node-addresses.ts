import { isOperatorsName, type KubernetesNode } from '#domain';
import { peerAddress } from './peer-address.ts';

/** A staked Node that reports an address which another Node reports too. */
interface SharedAddress {
  readonly nodeId: string;
  readonly address: string;
  readonly sharedWith: string;
}

/** Which Nodes report which addresses. What a Node has reported for a moment is seen as well, since each change is noted. */
export interface NodeAddresses {
  /** Notes what a Node reports; returns the addresses that it did not report before and others report. */
  note(node: Pick<KubernetesNode, 'name' | 'addresses'>): readonly SharedAddress[];
  forget(name: string): void;
  /** Grows whenever a Node reports other addresses than before, or goes. */
  changes(): number;
  /** Forgets every Node but these. */
  keep(names: ReadonlySet<string>): void;
}

const isSame = (one: ReadonlySet<string> | undefined, other: ReadonlySet<string>) =>
  one?.size === other.size && [...one].every((address) => other.has(address));

/** The addresses of the operator's Nodes as the policies are to hold them, with the Node that reports each. */
export function operatorsNodeAddresses(
  nodes: ReadonlyMap<string, Pick<KubernetesNode, 'name' | 'addresses'>>,
  names: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  for (const { name, addresses } of nodes.values()) {
    if (!isOperatorsName(names.get(name))) continue;
    for (const address of addresses.map(peerAddress)) if (isOfANetwork(address)) known.set(address, name);
  }
  return known;
}

/** An address by which one machine reaches another: a loopback address is every machine's own. */
function isOfANetwork(address: string | undefined): address is string {
  return address !== undefined && address !== '::1' && !address.startsWith('127.');
}

/**
 * k3s looks up the tunnel to a kubelet by the address that a Node reports, and the latest report counts
 * (pkg/daemons/control/tunnel.go, `onChangeNode`): a worker that reports another Node's address gets what the API server
 * sends to that kubelet. Only `isStaked` Nodes are named: of a staked one and another it is the staked one, of two staked
 * ones the one that came to the address last.
 */
export function createNodeAddresses(isStaked: (name: string) => boolean): NodeAddresses {
  const addressesOf = new Map<string, ReadonlySet<string>>();
  const namesAt = new Map<string, Set<string>>();
  let changes = 0;

  function drop(name: string, address: string): void {
    const names = namesAt.get(address);
    names?.delete(name);
    if (names?.size === 0) namesAt.delete(address);
  }

  function forget(name: string): void {
    for (const address of addressesOf.get(name) ?? []) drop(name, address);
    if (addressesOf.delete(name)) changes += 1;
  }

  /** One of the others is enough to look into it; of the operator's, if there is one. */
  function meeting(name: string, others: readonly string[]): Omit<SharedAddress, 'address'> | undefined {
    if (!isStaked(name)) {
      const nodeId = others.find((other) => isStaked(other));
      return nodeId === undefined ? undefined : { nodeId, sharedWith: name };
    }
    const sharedWith = others.find((other) => !isStaked(other)) ?? others[0];
    return sharedWith === undefined ? undefined : { nodeId: name, sharedWith };
  }

  return {
    note({ name, addresses }) {
      const before = addressesOf.get(name);
      const now = new Set(addresses.map(peerAddress).filter(isOfANetwork));
      if (!isSame(before, now)) changes += 1;
      for (const address of before ?? []) if (!now.has(address)) drop(name, address);
      addressesOf.set(name, now);
      const shared: SharedAddress[] = [];
      for (const address of now) {
        if (before?.has(address)) continue;
        const names = namesAt.get(address) ?? new Set();
        const met = meeting(name, [...names]);
        if (met) shared.push({ ...met, address });
        namesAt.set(address, names.add(name));
      }
      return shared;
    },
    forget,
    changes: () => changes,
    keep(names) {
      for (const name of addressesOf.keys()) if (!names.has(name)) forget(name);
    },
  };
}
