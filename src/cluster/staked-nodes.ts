import { CustomObjectsApi } from '@kubernetes/client-node';
import type { StakedNode, StakedNodeBoard } from '#domain';
import { absentIsFine, isNotFound, type KubeApiOptions, openKubeApi } from './kube-api.ts';
import { STAKED_NODE_GROUP, STAKED_NODE_PLURAL, STAKED_NODE_VERSION } from './staked-node-resource.ts';

const resource = { group: STAKED_NODE_GROUP, version: STAKED_NODE_VERSION, plural: STAKED_NODE_PLURAL };

/** The StakedNodes of a cluster, on connections of their own. Dispose of it to close them. */
export function openStakedNodes(options: KubeApiOptions): StakedNodeBoard & AsyncDisposable {
  const api = openKubeApi(options);
  const objects = api.config.makeApiClient(CustomObjectsApi);
  return {
    async list(signal) {
      const listed = (await api.call(
        'list the StakedNodes',
        (given) => objects.listClusterCustomObject(resource, given),
        { signal },
      )) as { readonly items: ReadonlyArray<Omit<StakedNode, 'nodeId'> & { metadata: { name: string } }> };
      return listed.items.map(({ metadata, spec, status }) => ({ nodeId: metadata.name, spec, status }));
    },
    async write({ nodeId: name, spec, status }, signal) {
      const what = `StakedNode ${name}`;
      const patch = { ...resource, name, body: { spec, status } };
      try {
        await api.call(`change ${what}`, (given) => objects.patchClusterCustomObject(patch, given), {
          signal,
          patch: 'merge',
        });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        const apiVersion = `${STAKED_NODE_GROUP}/${STAKED_NODE_VERSION}`;
        const body = { apiVersion, kind: 'StakedNode', metadata: { name }, spec, status };
        const create = { ...resource, body };
        await api.call(`create ${what}`, (given) => objects.createClusterCustomObject(create, given), {
          signal,
        });
      }
    },
    async remove(name, signal) {
      const what = `remove StakedNode ${name}`;
      const named = { ...resource, name };
      await absentIsFine(
        api.call(what, (given) => objects.deleteClusterCustomObject(named, given) as Promise<unknown>, {
          signal,
        }),
      );
    },
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
