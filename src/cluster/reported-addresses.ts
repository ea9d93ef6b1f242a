import type { V1Validation, V1Variable } from '@kubernetes/client-node';
import { EXPECTED, ORDINARY } from '#domain';
import { LISTINGS, NAMES_GROUP } from './name-role.ts';
import { celNamespaceOfName, nameNamespaces } from './name-shards.ts';
import { allowed } from './policy-authority.ts';
import { celList, celText, forbid } from './policy-pair.ts';

// k3s finds the tunnel to a kubelet by the addresses that Nodes report, and the latest report counts
// (pkg/daemons/control/tunnel.go, `onChangeNode`): who reports another Node's address gets what is meant for its kubelet.

/** Names: an address in the form of `PLAIN_IPV4` or `PLAIN_IPV6`. `hold`: it is that of a Node of the operator's. */
export const ADDRESSES = 'addresses';
/** Who holds them for the policy to ask about: a name of a ServiceAccount that is nowhere made. */
export const ADDRESS_HOLDER = { namespace: nameNamespaces()[0] ?? '', name: 'k3s-daas-operators-nodes' };

/** What k3s' cloud controller copies into the status (pkg/cloudprovider/instances.go): annotations, or labels without them. */
const copied = ['k3s.io/internal-ip', 'k3s.io/external-ip'];
/** Where a Node names its addresses beside its status, each a list with commas. */
export const ADDRESS_SOURCES = {
  annotations: [...copied, 'alpha.kubernetes.io/provided-node-ip'],
  labels: copied,
};
/** IPv4 and IPv6 in two families each for the kubelet, and for what it is reached at from outside. */
export const MOST_NEW_ADDRESSES = 6;

/** Go reads no other text as an IPv4 address but IPv6 forms of it (`::ffff:192.0.2.1`). */
export const PLAIN_IPV4 = '^((0|[1-9][0-9]{0,2})[.]){3}(0|[1-9][0-9]{0,2})$';
/**
 * Of an IPv6 address there are many texts, and the list has one. This is the canonical one (RFC 5952), of addresses with one
 * row of zero groups at most: those with two are very rare, and are refused.
 */
export const PLAIN_IPV6 = {
  of: '^[0-9a-f:]*:[0-9a-f:]*$',
  not: '(^|:)0[0-9a-f]|(^|:)0:0(:|$)|(^|:)0::|::0(:|$)|:::|::.*::',
  mostGroupsBesideZeros: 6,
};

const valuesOf = (object: string, member: 'annotations' | 'labels') =>
  `(has(${object}.metadata.${member}) ? ${celList(ADDRESS_SOURCES[member])}.filter(k, k in ${object}.metadata.${member}).map(k, ${object}.metadata.${member}[k]) : [])`;
const inMetadata = (object: string) =>
  `(${valuesOf(object, 'annotations')} + ${valuesOf(object, 'labels')}).join(',').split(',').map(a, a.trim())`;
const inStatus = (object: string) =>
  `(has(${object}.status) && has(${object}.status.addresses) ? ${object}.status.addresses.filter(a, a.type in ['InternalIP', 'ExternalIP']).map(a, a.address) : [])`;

const isPlain = (address: string) =>
  `(${address}.matches(${celText(PLAIN_IPV4)}) || (${address}.matches(${celText(PLAIN_IPV6.of)}) && !${address}.matches(${celText(PLAIN_IPV6.not)}) && (!${address}.contains('::') || ${address}.split(':').filter(g, g != '').size() <= ${PLAIN_IPV6.mostGroupsBesideZeros})))`;

const isListedAs = (listing: string) =>
  allowed({ resource: LISTINGS, namespace: 'variables.home', name: celText(listing), verb: 'hold' });
const isHeld = (address: string) =>
  `authorizer.serviceAccount('${ADDRESS_HOLDER.namespace}', '${ADDRESS_HOLDER.name}').group('${NAMES_GROUP}').resource('${ADDRESSES}').namespace('${ADDRESS_HOLDER.namespace}').name(${address}).check('hold').allowed()`;

/** What the rules below speak of. */
export const addressVariables = (): V1Variable[] => [
  { name: 'home', expression: celNamespaceOfName('object.metadata.name') },
  { name: 'named', expression: inMetadata('object') },
  {
    name: 'reported',
    expression: `oldObject == null ? [] : ${inMetadata('oldObject')} + ${inStatus('oldObject')}`,
  },
  {
    name: 'newAddresses',
    expression: `(variables.named + ${inStatus('object')}.filter(a, !(a in variables.named))).filter(a, a != '' && !(a in variables.reported))`,
  },
  // One check each: two of them cost most of what the API server lets one expression cost.
  { name: 'isOrdinary', expression: isListedAs(ORDINARY) },
  { name: 'isExpected', expression: isListedAs(EXPECTED) },
  {
    name: 'unplain',
    expression: `variables.newAddresses.filter(a, !${isPlain('a')})`,
  },
];

const isFree = 'size(variables.newAddresses) == 0 || variables.isOrdinary || variables.isExpected';

/** An address is judged when it is reported first: nothing of a Node that has it already changes by another Node's. */
export const addressRules = (): V1Validation[] => [
  forbid(
    `the kubelet of a staked node reports at most ${MOST_NEW_ADDRESSES} new addresses at a time`,
    `size(variables.newAddresses) <= ${MOST_NEW_ADDRESSES} || ${isFree}`,
  ),
  forbid(
    'the kubelet of a staked node reports plain addresses',
    `size(variables.unplain) == 0 || ${isFree}`,
    "'the staked node ' + object.metadata.name + ' reports ' + variables.unplain[0] + ': an address is reported as 192.0.2.1 or 2001:db8::1, in lower case, with no zeros before it and no more than one row of zero groups'",
  ),
  ...Array.from({ length: MOST_NEW_ADDRESSES }, (_value, index) =>
    forbid(
      'the kubelet of a staked node reports no address of a Node of the operator’s',
      `size(variables.newAddresses) <= ${index} || ${isFree} || !${isHeld(`variables.newAddresses[${index}]`)}`,
      `'the staked node ' + object.metadata.name + ' reports ' + variables.newAddresses[${index}] + ', which is the address of a Node of the operator’s: start its agent with another --node-ip or --node-external-ip'`,
    ),
  ),
];
