import type { Vouch } from '#domain';

/**
 * What is known of a staked node: `live` while its stake is good and it is admitted, `out` from the moment its eviction is
 * decided.
 */
export interface NodeAccess {
  readonly nodeId: string;
  readonly standing: 'live' | 'out';
  /** Others may have a living certificate of its name: shortly after a start, too, it passes with a vouched one only. */
  readonly isContested: boolean;
  /** The certificates that its stake vouches for; none of a node that is out. */
  readonly vouches: readonly Pick<Vouch, 'identity' | 'fingerprint'>[];
}

/** What does not depend on a single node. */
export interface AccessRules {
  /** `observe`: everything passes, and what `enforce` would refuse is counted. */
  readonly mode: 'observe' | 'enforce';
  /** Names of the operator's own Nodes, and of those that may register: they are not judged. */
  readonly operatorsNames: readonly string[];
  /** Certificates of the shared identities on the servers themselves, as fingerprints. */
  readonly serverFingerprints: readonly string[];
  /** Users that may act as a node: `system:serviceaccount:<namespace>:<name>`. */
  readonly impersonators: readonly string[];
  /** There are agents without a stake: nobody vouches for the shared identities of theirs, so unknown ones pass. */
  readonly hasOrdinaryAgents: boolean;
  /** Shortly after a start: a live node whose name is not contested passes before it has shown its certificate. */
  readonly isSettling: boolean;
}

export const initialRules: AccessRules = {
  mode: 'observe',
  operatorsNames: [],
  serverFingerprints: [],
  impersonators: [],
  hasOrdinaryAgents: false,
  isSettling: true,
};

/** A certificate for which a live stake vouches. */
interface LiveVouch extends Pick<Vouch, 'nodeId' | 'identity'> {
  /** The user that its node is for the API server: `system:node:<node id>`. */
  readonly nodeUser: string;
}

/**
 * The decision table. Certificates are held by what the API server calls them, `X509SHA256=<hex>`: nearly every question is one
 * look-up with a string that came with it, and nothing is cut or joined.
 */
export interface AccessTable {
  rules(): AccessRules;
  isOperators(nodeName: string): boolean;
  isServers(credentialId: string): boolean;
  isImpersonator(user: string): boolean;
  standingOf(nodeName: string): NodeAccess['standing'] | undefined;
  /** Whether the node is live, and nobody but its holder can have a certificate of its name. */
  isUncontested(nodeName: string): boolean;
  vouchOf(credentialId: string): LiveVouch | undefined;
  setRules(rules: AccessRules): void;
  setNode(node: NodeAccess): void;
  forget(nodeId: string): void;
}

export const NODE_USER = 'system:node:';

const credentialIdOf = (fingerprint: string): string => `X509SHA256=${fingerprint}`;

export function createAccessTable(): AccessTable {
  let rules = initialRules;
  let operators: ReadonlySet<string> = new Set();
  let servers: ReadonlySet<string> = new Set();
  let impersonators: ReadonlySet<string> = new Set();
  const nodes = new Map<string, NodeAccess>();
  const vouches = new Map<string, LiveVouch>();

  function forget(nodeId: string): void {
    // Another node may have shown it since.
    for (const { fingerprint } of nodes.get(nodeId)?.vouches ?? []) {
      const id = credentialIdOf(fingerprint);
      if (vouches.get(id)?.nodeId === nodeId) vouches.delete(id);
    }
    nodes.delete(nodeId);
  }

  return {
    rules: () => rules,
    isOperators: (nodeName) => operators.has(nodeName),
    isServers: (credentialId) => servers.has(credentialId),
    isImpersonator: (user) => impersonators.has(user),
    standingOf: (nodeName) => nodes.get(nodeName)?.standing,
    isUncontested(nodeName) {
      const node = nodes.get(nodeName);
      return node?.standing === 'live' && !node.isContested;
    },
    vouchOf: (credentialId) => vouches.get(credentialId),
    setRules(next) {
      rules = next;
      operators = new Set(next.operatorsNames);
      servers = new Set(next.serverFingerprints.map(credentialIdOf));
      impersonators = new Set(next.impersonators);
    },
    setNode(node) {
      forget(node.nodeId);
      nodes.set(node.nodeId, node);
      if (node.standing !== 'live') return;
      const { nodeId } = node;
      const nodeUser = NODE_USER + nodeId;
      for (const { fingerprint, identity } of node.vouches)
        vouches.set(credentialIdOf(fingerprint), { nodeId, identity, nodeUser });
    },
    forget,
  };
}
