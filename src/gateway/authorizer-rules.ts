import type { AccessRules, NodeAccess } from '#authorizer';
import { isOperatorsName, type KubernetesNode, RESERVED, type VouchTable } from '#domain';
import type { GatewayConfig } from './config.ts';
import { isAdmitted, type Worker } from './worker.ts';

/** What the authorizer is to know of a worker. */
export function nodeAccessOf(
  worker: Worker,
  { vouches, isContested }: { readonly vouches: VouchTable | undefined; readonly isContested: boolean },
): NodeAccess {
  const { nodeId, status } = worker;
  const isLive = isAdmitted(worker) || status.kind === 'admitting';
  return {
    nodeId,
    standing: isLive ? 'live' : 'out',
    isContested,
    vouches: isLive ? (vouches?.ofNode(nodeId) ?? []) : [],
  };
}

export interface Readiness {
  /** `undefined`: not read yet. */
  readonly nodes: ReadonlyMap<string, KubernetesNode> | undefined;
  readonly names: ReadonlyMap<string, string> | undefined;
  readonly vouches: VouchTable | undefined;
  readonly serverFingerprints: readonly string[];
  readonly hasOrdinaryAgents: boolean;
}

/**
 * What speaks against enforcing: a Ready Node whose kubelet would be refused, or a server whose own shared identities would
 * be. Empty: nothing. Pure.
 */
export function obstaclesToEnforcing(ready: Readiness): readonly string[] {
  const { nodes, names, vouches, serverFingerprints, hasOrdinaryAgents } = ready;
  if (!nodes || !names) return ['the Nodes and the listed names have not been read yet'];
  const unvouched = [...nodes.values()]
    .filter(({ name, isReady }) => isReady && !isOperatorsName(names.get(name)) && !isVouched(vouches, name))
    .map(({ name }) => name);
  return [
    ...(unvouched.length === 0
      ? []
      : [
          `no certificate is vouched for of the Ready Nodes ${unvouched.slice(0, 10).join(', ')}${unvouched.length > 10 ? ` and ${unvouched.length - 10} more` : ''}, and no list of yours names them`,
        ]),
    ...(serverFingerprints.length === 0 && !hasOrdinaryAgents
      ? ['the certificates of the server itself are not known: run `k3s-daas gateway authorizer` there']
      : []),
  ];
}

const isVouched = (vouches: VouchTable | undefined, nodeId: string): boolean =>
  vouches?.ofNode(nodeId).some(({ identity }) => identity === 'kubelet') === true;

/** The rules in force. */
export function rulesOf(
  { impersonators, ordinaryAgents }: GatewayConfig['authorizer'],
  {
    nodes,
    names,
    serverFingerprints,
    isEnforced,
    isSettling,
  }: Pick<Readiness, 'nodes' | 'names' | 'serverFingerprints'> & {
    readonly isEnforced: boolean;
    readonly isSettling: boolean;
  },
): AccessRules {
  return {
    mode: isEnforced ? 'enforce' : 'observe',
    operatorsNames: [...(names ?? [])].flatMap(([name, listing]) =>
      mayRun({ listing, hasNode: nodes?.has(name) === true }) ? [name] : [],
    ),
    serverFingerprints,
    impersonators,
    hasOrdinaryAgents: ordinaryAgents,
    isSettling,
  };
}

/**
 * Whether an agent of the operator's may run under the name. Not under a reserved one whose Node is gone, or never was: whoever
 * has a join credential gets a certificate for it from k3s, since no node password stands.
 */
function mayRun({ listing, hasNode }: { readonly listing: string; readonly hasNode: boolean }): boolean {
  return isOperatorsName(listing) && (listing !== RESERVED || hasNode);
}
