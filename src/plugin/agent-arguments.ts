import { aListOf, aValue } from './reply.ts';
import { type Point, point } from './token.ts';

/** Adds flags to `k3s agent`, each an argv element such as `--node-label=a=b`. Flags that the host sets are refused. */
export interface AgentArguments {
  agentArguments(): readonly string[] | Promise<readonly string[]>;
}

export const AgentArguments: Point<AgentArguments> = point<AgentArguments>('agent-arguments', 'any', {
  agentArguments: aListOf(aValue('string')),
});
