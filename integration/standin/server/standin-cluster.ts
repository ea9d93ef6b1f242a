import type { SecretData } from './credentials.ts';
import { decodedData } from './objects.ts';
import { Refusal } from './status.ts';
import { named, type Store } from './store.ts';
import type { SupervisorCluster } from './supervisor-options.ts';

/** The supervisor's view of the API in this process. */
export function clusterOf(store: Store): SupervisorCluster {
  const namespace = 'kube-system';
  return {
    async secret(name): Promise<SecretData | undefined> {
      const found = store.get(named.secret, namespace, name);
      return (
        found && {
          type: String(found.type),
          isBeingDeleted: found.metadata.deletionTimestamp !== undefined,
          data: decodedData(found),
        }
      );
    },
    async createNodePassword(name, hash) {
      try {
        store.create(named.secret, {
          metadata: { name, namespace },
          type: 'k3s.cattle.io/node-password',
          immutable: true,
          data: { hash: Buffer.from(hash).toString('base64') },
        });
        return true;
      } catch (error) {
        if (error instanceof Refusal && error.code === 409) return false;
        throw error;
      }
    },
    nodeExists: async (name) => store.get(named.node, '', name) !== undefined,
  };
}
