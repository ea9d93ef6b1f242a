import type { KubernetesObject } from '@kubernetes/client-node';
import { stringify } from 'yaml';
import {
  allPolicies,
  type GatewayIdentity,
  gatewayAccount,
  gatewayRights,
  gatewayStakedNodes,
  namesHomes,
  type SetupTerms,
  stateHome,
  stateLease,
} from './gateway-rights.ts';
import { tenantObjects } from './tenant-rights.ts';

/**
 * Everything that `setup` keeps in a cluster besides the names themselves, in the order in which it is written: by the time
 * the gateway gets its rights, it is already bound.
 */
export function setupObjects(gateway: GatewayIdentity, terms: SetupTerms = {}): readonly KubernetesObject[] {
  return [
    ...namesHomes(),
    stateHome(),
    ...allPolicies(gateway, terms).flatMap(({ policy, binding }) => [policy, binding]),
    stateLease(),
    ...gatewayAccount(gateway),
    ...gatewayRights(gateway),
    ...tenantObjects(terms.tenants),
    ...(terms.stakedNodes ? gatewayStakedNodes(gateway) : []),
  ];
}

/** The same as one file for `kubectl apply`. The names are missing: `setup` lists those of the cluster that it looks at. */
export function setupManifests(gateway: GatewayIdentity = { kind: 'service-account' }): string {
  return setupObjects(gateway)
    .map((object) => stringify(object, { lineWidth: 0 }))
    .join('---\n');
}
