import type { Log } from '#base';
import type { StateObjects } from '#domain';

/**
 * Opens the objects of a state in Kubernetes by the gateway's kubeconfig. The client of Kubernetes is loaded only then: other states
 * do without it.
 */
export const stateObjectsOf =
  ({ kubeconfig }: { readonly kubeconfig: string }, log: Log) =>
  async (): Promise<StateObjects> => {
    const { openStateObjects } = await import('#cluster');
    return openStateObjects({
      kubeconfig: { path: kubeconfig, isPrivate: true },
      log: log.child({ part: 'state' }),
    });
  };
