import { isDeepStrictEqual } from 'node:util';
import type { Journal } from '#base';
import type { AgentStart, AgentState, Registration } from '#plugin';

const key = 'joined';

/** What the last successful join of this state directory was made with. */
export interface JoinedBefore {
  readonly recordId: string;
  readonly machineId: string | undefined;
  readonly nodeId: string | undefined;
  /** The boot of the machine at that join. */
  readonly bootId?: string | undefined;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly taints: readonly string[];
  /** What plugins added to the arguments of k3s; undefined: not recorded. */
  readonly arguments: readonly string[] | undefined;
}

export function readJoin(journal: Journal): JoinedBefore | undefined {
  const value = journal.read(key) as Partial<JoinedBefore> | undefined;
  if (typeof value?.recordId !== 'string') return undefined;
  const { recordId, machineId, nodeId, bootId, nodeLabels = {}, taints = [], arguments: added } = value;
  return { recordId, machineId, nodeId, bootId, nodeLabels, taints, arguments: added };
}

export function writeJoin(journal: Journal, join: JoinedBefore): Promise<void> {
  return journal.write(key, join);
}

export function forgetJoin(journal: Journal): Promise<void> {
  return journal.remove(key);
}

/** A start on the certificates of that join, without a join credential. */
export function startOf({ nodeLabels, taints }: JoinedBefore): Omit<AgentStart, 'arguments'> {
  return { join: undefined, nodeLabels, taints };
}

/** The join was made on this machine and under this node id. A copy of the state directory elsewhere is not at home. */
export function isAtHome(
  joined: JoinedBefore,
  here: { readonly machineId: string | undefined; readonly nodeId: string },
): boolean {
  return (
    joined.machineId !== undefined && joined.machineId === here.machineId && joined.nodeId === here.nodeId
  );
}

/**
 * Whether this host ends because another one with its key runs the Node. Never while its agent is Ready, nor after a reboot of the
 * machine of the last join, whose agent may come back on its certificates: a thief of the node key must not be able to end it.
 */
export function endsForClone(
  agent: AgentState,
  joined: JoinedBefore | undefined,
  here: {
    readonly machineId: string | undefined;
    readonly nodeId: string;
    readonly bootId: string | undefined;
  },
): boolean {
  if (agent.kind === 'ready') return false;
  const hasRebooted = joined?.bootId !== undefined && joined.bootId !== here.bootId;
  return !(joined && isAtHome(joined, here) && hasRebooted);
}

/** Whether the gateway wants the Node as it was at the last join. */
export function isSameNode(now: Pick<Registration, 'nodeLabels' | 'taints'>, before: JoinedBefore): boolean {
  return isDeepStrictEqual(now.nodeLabels, before.nodeLabels) && isDeepStrictEqual(now.taints, before.taints);
}
