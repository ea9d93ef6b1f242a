import type { V1Node } from '@kubernetes/client-node';
import { ConfigurationError } from '#base';
import { EXPECTED, isOperatorsName, ORDINARY, RESERVED } from '#domain';
import { patchAdmittedMap, readAdmittedMap } from './admitted-names.ts';
import { absentIsFine } from './kube-api.ts';
import { listNodeObjects } from './nodes.ts';
import { admittedNamesMap } from './policy.ts';
import type { SetupChange, SetupContext, SetupOptions, SetupStep } from './setup.ts';
import { describeObject, writeObject } from './setup-objects.ts';
import { NODE_MARK, STAKED_TAINT } from './words.ts';

const whyListed: Readonly<Record<string, string>> = {
  [ORDINARY]: 'its Node existed before: no stake may take this name',
  [EXPECTED]: 'an ordinary node may register under it now; no stake may take it',
  [RESERVED]: 'no node may register under it, and no stake may take it',
};

/** The steps that list the operator's names. */
export async function planNames(
  context: SetupContext,
  { ordinaryNames = [], reservedNames = [] }: SetupOptions,
): Promise<SetupStep[]> {
  const { api, signal } = context;
  const nodes = await listNodeObjects(api, signal);
  const current = await absentIsFine(readAdmittedMap(api, signal));
  const names = namesToList(nodes.items, current?.data ?? {}, { ordinaryNames, reservedNames });
  if (!current) return firstListing(context, names);
  return [...names].map(([name, listing]) => ({
    change: listingChange(name, listing),
    apply: () => patchAdmittedMap(api, `list the name ${name}`, { data: { [name]: listing } }, signal),
  }));
}

/** The whole ConfigMap in one write. */
function firstListing(context: SetupContext, names: ReadonlyMap<string, string>): SetupStep[] {
  const map = admittedNamesMap(names);
  const change: SetupChange = { action: 'create', what: describeObject(map), why: 'it is missing' };
  return [
    { change, apply: () => writeObject(context, 'create', map) },
    ...[...names].map(([name, listing]) => ({
      change: listingChange(name, listing),
      apply: async () => undefined,
    })),
  ];
}

function listingChange(name: string, listing: string): SetupChange {
  return { action: 'list', what: `${name} as ${listing}`, why: whyListed[listing] ?? '' };
}

/**
 * The operator's names whose listing changes. A Node without the gateway's mark and taint existed before any stake. One
 * with them that is not listed is being removed: listed as ordinary it could come back without a stake. A reserved name
 * is opened only by naming it: a Node of this name may be what it was reserved against.
 * @throws `DAAS_NAME_STAKED` (exit 78) for a given name that belongs to a stake.
 */
export function namesToList(
  nodes: readonly V1Node[],
  current: Readonly<Record<string, string>>,
  named: { readonly ordinaryNames: readonly string[]; readonly reservedNames: readonly string[] },
): ReadonlyMap<string, string> {
  const staked = new Set(nodes.filter(isStaked).map(nameOf));
  const ordinary = new Set(nodes.filter((node) => !isStaked(node)).map(nameOf));
  const listings = new Map<string, string>();
  for (const name of ordinary)
    if (current[name] === undefined || current[name] === EXPECTED) listings.set(name, ORDINARY);
  for (const name of named.ordinaryNames) listings.set(name, ordinary.has(name) ? ORDINARY : EXPECTED);
  for (const name of named.reservedNames) listings.set(name, RESERVED);
  for (const name of [...named.ordinaryNames, ...named.reservedNames]) {
    const listing = current[name];
    if (staked.has(name) || (listing !== undefined && !isOperatorsName(listing))) throw stakedName(name);
  }
  return new Map(
    [...listings]
      .filter(([name, listing]) => current[name] !== listing)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
}

const nameOf = (node: V1Node) => node.metadata?.name ?? '';

function isStaked({ metadata, spec }: V1Node): boolean {
  const isMarked = metadata?.labels?.[NODE_MARK] !== undefined;
  return isMarked || (spec?.taints ?? []).some(({ key }) => key === STAKED_TAINT);
}

function stakedName(name: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_NAME_STAKED',
    `${name} is the name of a staked node: evict it first (k3s-daas gateway evict ${name}), or choose another name`,
    { details: { name } },
  );
}
