import { membersOf } from '#base';
import { askKubectl, type KubectlOptions } from './kubectl-tool.ts';

/** A Node with what is known of its stake. */
export interface NodeWithStake {
  readonly name: string;
  /** `undefined`: the cluster has no such Node, or this login may not see Nodes. */
  readonly isReady: boolean | undefined;
  readonly isUnschedulable: boolean;
  readonly taints: readonly string[];
  readonly stake: StakeOfNode | undefined;
}

interface StakeOfNode {
  readonly wallet: string;
  readonly stake: string;
  readonly state: string;
  readonly tier: string;
  readonly expires: string;
  readonly conditions: ReadonlyArray<Readonly<Record<'type' | 'status' | 'reason' | 'message', string>>>;
}

type Members = Readonly<Record<string, unknown>>;

/** Every Node and every StakedNode, by name. */
export async function nodesWithStakes(options: KubectlOptions): Promise<readonly NodeWithStake[]> {
  const nodes = byName(await askKubectl(['get', 'nodes'], options));
  const stakes = byName(await askKubectl(['get', 'stakednodes.k3s-daas.io'], options));
  const names = [...new Set([...nodes.keys(), ...stakes.keys()])].sort();
  return names.map((name) => joined(name, nodes.get(name), stakes.get(name)));
}

/** One of them; `undefined`: there is neither. */
export async function nodeWithStake(
  name: string,
  options: KubectlOptions,
): Promise<NodeWithStake | undefined> {
  const node = await askKubectl(['get', 'node', name], options);
  const stake = await askKubectl(['get', 'stakednodes.k3s-daas.io', name], options);
  return node || stake ? joined(name, node, stake) : undefined;
}

function byName(list: Members | undefined): ReadonlyMap<string, Members> {
  const items = listOf(list?.items);
  return new Map(items.map((item) => [textOf(membersOf(item.metadata).name), item]));
}

function joined(name: string, node: Members | undefined, stake: Members | undefined): NodeWithStake {
  const spec = membersOf(node?.spec);
  const ready = listOf(membersOf(node?.status).conditions).find(({ type }) => type === 'Ready');
  return {
    name,
    isReady: node && ready?.status === 'True',
    isUnschedulable: spec.unschedulable === true,
    taints: listOf(spec.taints).map(({ key, value, effect }) =>
      [textOf(key), value === undefined ? '' : `=${textOf(value)}`, `:${textOf(effect)}`].join(''),
    ),
    stake: stake && stakeOf(stake),
  };
}

function stakeOf({ spec, status }: Members): StakeOfNode {
  const shown = membersOf(status);
  return {
    wallet: textOf(membersOf(spec).wallet),
    stake: textOf(shown.stake),
    state: textOf(shown.state),
    tier: textOf(shown.tier),
    expires: textOf(shown.expires),
    conditions: listOf(shown.conditions).map(({ type, status: value, reason, message }) => ({
      type: textOf(type),
      status: textOf(value),
      reason: textOf(reason),
      message: textOf(message),
    })),
  };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const listOf = (value: unknown): readonly Members[] => (Array.isArray(value) ? value.map(membersOf) : []);
