import type { V1Node } from '@kubernetes/client-node';
import { ConfigurationError } from '#base';
import { EXPECTED, isOperatorsName, ORDINARY, RESERVED } from '#domain';
import { carryOverName, listOperatorsName, readAdmittedNames } from './admitted-names.ts';
import { absentIsFine } from './kube-api.ts';
import { listNodeObjects } from './nodes.ts';
import type { SetupChange, SetupContext, SetupOptions, SetupStep } from './setup.ts';
import { ADMITTED_CONFIG_MAP, NODE_MARK, STAKED_TAINT, SYSTEM_NAMESPACE } from './words.ts';

const whyListed: Readonly<Record<string, string>> = {
  [ORDINARY]: 'its Node existed before: no stake may take this name',
  [EXPECTED]: 'an ordinary node may register under it now; no stake may take it',
  [RESERVED]: 'no node may register under it, and no stake may take it',
};

/** Names that are written at the same time when a list is carried over. */
const carriedAtOnce = 8;

/** The steps that list the operator's names, and those that the first version kept in a ConfigMap. */
export async function planNames(
  context: SetupContext,
  { ordinaryNames = [], reservedNames = [] }: SetupOptions,
): Promise<SetupStep[]> {
  const { api, signal } = context;
  const nodes = await listNodeObjects(api, signal);
  const listed = await readAdmittedNames(context, signal);
  const earlier = await readEarlierNames(context);
  const current = { ...earlier, ...Object.fromEntries(listed) };
  const names = namesToList(nodes.items, current, { ordinaryNames, reservedNames });
  const carried = Object.entries(earlier).filter(([name]) => !listed.has(name) && !names.has(name));
  return [
    ...carryOver(context, carried),
    ...[...names].map(([name, listing]) => ({
      change: listingChange(name, listing),
      apply: () => listOperatorsName(context, { name, listing }, signal),
    })),
  ];
}

/** The names of the first version's ConfigMap; none where it is not, or no longer, there. */
async function readEarlierNames({ api, signal }: SetupContext): Promise<Readonly<Record<string, string>>> {
  const found = await absentIsFine(
    api.call(
      'read the names of the first version',
      (given) => api.core.readNamespacedConfigMap(earlierMap, given),
      { signal },
    ),
  );
  return found?.data ?? {};
}

const earlierMap = { name: ADMITTED_CONFIG_MAP, namespace: SYSTEM_NAMESPACE };

/** All of them before the first policy changes: no admitted node is refused meanwhile. */
function carryOver(
  context: SetupContext,
  names: ReadonlyArray<readonly [name: string, listing: string]>,
): SetupStep[] {
  const writeAll = async () => {
    for (let start = 0; start < names.length; start += carriedAtOnce)
      await Promise.all(
        names
          .slice(start, start + carriedAtOnce)
          .map(([name, listing]) => carryOverName(context, { name, listing }, context.signal)),
      );
  };
  return names.map(([name, listing], index) => ({
    change: {
      action: 'list',
      what: `${name} as ${listing}`,
      why: `carried over from the ConfigMap ${ADMITTED_CONFIG_MAP}`,
    },
    apply: index === 0 ? writeAll : async () => undefined,
  }));
}

/** The step that removes the first version's ConfigMap: the last one, since its policy still reads it until it is replaced. */
export async function planEarlierNamesRemoval({ api, signal }: SetupContext): Promise<SetupStep[]> {
  const what = `ConfigMap ${SYSTEM_NAMESPACE}/${ADMITTED_CONFIG_MAP}`;
  const found = await absentIsFine(
    api.call(`read ${what}`, (given) => api.core.readNamespacedConfigMap(earlierMap, given), { signal }),
  );
  if (!found) return [];
  return [
    {
      change: { action: 'remove', what, why: 'its names are Roles now' },
      apply: () =>
        absentIsFine(
          api.call(`remove ${what}`, (given) => api.core.deleteNamespacedConfigMap(earlierMap, given), {
            signal,
          }),
        ),
    },
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
