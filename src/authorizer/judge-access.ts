import { isCanaryName, type WorkerIdentity } from '#domain';
import { type AccessTable, NODE_USER } from './access-table.ts';

/** The part of a SubjectAccessReview's `spec` that decides (authorization.k8s.io/v1). */
export interface AccessRequest {
  readonly user: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
  readonly resource:
    | {
        readonly verb: string;
        readonly group: string;
        readonly resource: string;
        readonly subresource: string;
        readonly name: string;
      }
    | undefined;
}

/** Why a request is refused. They are permanent: they reach callers, audit logs of the API server, and dashboards. */
export type DenialCode =
  /** The stake of the node has ended, or the operator has removed it. */
  | 'node-out'
  /** The certificate is one that no live stake vouches for. */
  | 'not-vouched'
  /** A live stake vouches for it, as another node or identity. */
  | 'vouched-for-another'
  /** An identity of a node, and no certificate: somebody acts as the node. */
  | 'no-certificate'
  /** A pod's token, of a Node that no stake and no list of the operator knows. */
  | 'node-unknown'
  /** Asks to act as a node. */
  | 'impersonation';

export interface Denial {
  readonly code: DenialCode;
  /** The node name, or the user, that it is about. */
  readonly subject: string;
}

const NODES_GROUP = 'system:nodes';
const CREDENTIAL_KEY = 'authentication.kubernetes.io/credential-id';
const POD_NODE_KEY = 'authentication.kubernetes.io/node-name';
/** The members of a user's `extra` that decide; the API server writes their keys in lower case. */
export const EXTRA_KEYS = [CREDENTIAL_KEY, POD_NODE_KEY] as const;
const CERTIFICATE = /^X509SHA256=[0-9a-f]{64}$/;

const sharedIdentities: ReadonlyMap<string, WorkerIdentity> = new Map([
  ['system:kube-proxy', 'kube-proxy'],
  ['system:k3s-controller', 'k3s-controller'],
]);

/**
 * Whether a request has to be refused; `undefined`: no opinion, the API server's other authorizers decide. Pure but for the
 * table. It is an allow-list by certificate: a slashed node mints new certificates at the supervisor.
 */
export function judgeAccess(request: AccessRequest, table: AccessTable): Denial | undefined {
  const { user, groups, resource } = request;
  // Policies ask about this group while they judge a write: a refusal would refuse everybody's.
  if (resource?.group === 'k3s-daas.io') return undefined;
  const denial = resource && judgeImpersonation(request, table);
  if (denial) return denial;
  if (isVouchedKubelet(request, table)) return undefined;
  const shared = sharedIdentities.get(user);
  if (shared) return judgeShared(request, shared, table);
  if (user.startsWith(NODE_USER)) return judgeNode(request, user.slice(NODE_USER.length), table);
  // The group without the name: no kubelet of ours.
  if (groups.includes(NODES_GROUP)) return { code: 'no-certificate', subject: user };
  return judgePod(request, table);
}

/** Nearly every question: a kubelet with its own certificate. What is out is vouched for by no one. */
function isVouchedKubelet({ user, extra }: AccessRequest, table: AccessTable): boolean {
  const ids = extra[CREDENTIAL_KEY];
  const vouch = ids?.length === 1 ? table.vouchOf(ids[0] ?? '') : undefined;
  return vouch !== undefined && vouch.identity === 'kubelet' && vouch.nodeUser === user;
}

function judgeNode(request: AccessRequest, nodeName: string, table: AccessTable): Denial | undefined {
  const standing = table.standingOf(nodeName);
  // The operator may have given the name of a node that is out to a node of their own.
  if (table.isOperators(nodeName)) return undefined;
  if (standing === 'out') return { code: 'node-out', subject: nodeName };
  if (standing === undefined && isCanaryWrite(request, nodeName)) return undefined;
  const certificate = certificateOf(request);
  const rules = table.rules();
  if (certificate === undefined)
    return rules.impersonators.length > 0 && standing === 'live'
      ? undefined
      : { code: 'no-certificate', subject: nodeName };
  const vouch = table.vouchOf(certificate);
  if (vouch) return { code: 'vouched-for-another', subject: nodeName };
  return rules.isSettling && table.isUncontested(nodeName)
    ? undefined
    : { code: 'not-vouched', subject: nodeName };
}

/**
 * What `setup` tries the policies out with: it has to reach them. Whoever else has a certificate of such a name is refused by the
 * policies, which list it for a moment only, and by this authorizer for everything else.
 */
function isCanaryWrite({ resource }: AccessRequest, nodeName: string): boolean {
  const isTried = resource?.resource === 'nodes' || resource?.resource === 'events';
  return isTried && resource.verb === 'create' && resource.subresource === '' && isCanaryName(nodeName);
}

/** The identities that all agents share are nobody's without a certificate that somebody vouches for. */
function judgeShared(
  request: AccessRequest,
  identity: WorkerIdentity,
  table: AccessTable,
): Denial | undefined {
  const certificate = certificateOf(request);
  if (certificate === undefined) return { code: 'no-certificate', subject: request.user };
  if (table.isServers(certificate)) return undefined;
  const vouch = table.vouchOf(certificate);
  if (vouch)
    return vouch.identity === identity ? undefined : { code: 'vouched-for-another', subject: request.user };
  return table.rules().hasOrdinaryAgents ? undefined : { code: 'not-vouched', subject: request.user };
}

/** A token that the API server gave to a pod: as good as the Node that the pod runs on. */
function judgePod({ extra }: AccessRequest, table: AccessTable): Denial | undefined {
  const nodes = extra[POD_NODE_KEY];
  if (nodes === undefined) return undefined;
  for (const nodeName of nodes) {
    const denial = judgePodsNode(nodeName, table);
    if (denial) return denial;
  }
  return undefined;
}

function judgePodsNode(nodeName: string, table: AccessTable): Denial | undefined {
  if (table.isOperators(nodeName)) return undefined;
  switch (table.standingOf(nodeName)) {
    case 'live':
      return undefined;
    case 'out':
      return { code: 'node-out', subject: nodeName };
    default:
      return table.rules().isSettling ? undefined : { code: 'node-unknown', subject: nodeName };
  }
}

/**
 * Kubernetes asks first whether a user may act as another (`impersonate`, and since 1.36 `impersonate:associated-node` and
 * the like). What is then done as a node carries no certificate: so the right to act as one is refused unless it is listed.
 */
function judgeImpersonation(request: AccessRequest, table: AccessTable): Denial | undefined {
  const { user, extra, resource } = request;
  if (!resource?.verb.startsWith('impersonate') || !isOfNodes(resource)) return undefined;
  if (!table.isImpersonator(user)) return { code: 'impersonation', subject: user };
  const nodes = extra[POD_NODE_KEY] ?? [];
  return nodes.map((nodeName) => judgePodsNode(nodeName, table)).find((denial) => denial !== undefined);
}

function isOfNodes({ verb, resource, subresource, name }: NonNullable<AccessRequest['resource']>): boolean {
  if (verb.includes('node')) return true;
  switch (resource) {
    case 'users':
      return name === '' || name.startsWith(NODE_USER) || sharedIdentities.has(name);
    case 'groups':
      return name === '' || name === NODES_GROUP;
    case 'userextras':
      return subresource === '' || subresource === CREDENTIAL_KEY || subresource === POD_NODE_KEY;
    case 'nodes':
      return true;
    default:
      return false;
  }
}

/** The API server's name for the client certificate of a request; `undefined` for any other credential, and for several. */
function certificateOf({ extra }: AccessRequest): string | undefined {
  const [id, ...more] = extra[CREDENTIAL_KEY] ?? [];
  return id !== undefined && more.length === 0 && CERTIFICATE.test(id) ? id : undefined;
}
