import { ConfigurationError } from '#base';
import { installedVariables, lookAtMachine, type MachineFacts } from './facts.ts';
import type { Machine } from './machine.ts';
import type { Role } from './record.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that the unit has now. Those of a shell have no say: the service never sees them. */
export function unitVariables(
  facts: Pick<MachineFacts, 'files' | 'manager'>,
  role: Role,
): Record<string, string> {
  return installedVariables(facts, role, {});
}

/** The environment that a worker's service runs in: the unit's variables win over the shell's, which fill the rest. */
export async function unitEnvironment(machine: Machine, shell: Environment): Promise<Environment> {
  try {
    const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: {} });
    return { ...shell, ...unitVariables(facts, 'worker') };
  } catch (error) {
    // What the shell has is all that another user can see.
    if (error instanceof ConfigurationError && error.code === 'DAAS_INSTALL_NOT_ROOT') return shell;
    throw error;
  }
}
