import { apiVersionOf, isRecord, type KubeObject, type Resource } from './objects.ts';
import { badRequest } from './status.ts';

export function parseObject(resource: Resource, body: unknown): KubeObject {
  if (!isRecord(body) || !isRecord(body.metadata ?? {})) throw badRequest('the object needs metadata');
  const wanted = apiVersionOf(resource);
  if ((body.kind ?? resource.kind) !== resource.kind || (body.apiVersion ?? wanted) !== wanted)
    throw badRequest(
      `${String(body.kind)} in version "${String(body.apiVersion)}" cannot be handled as a ${resource.kind}`,
    );
  return structuredClone({ ...body, metadata: body.metadata ?? {} }) as unknown as KubeObject;
}

export function placeIn(resource: Resource, object: KubeObject, namespace: string): void {
  if (!resource.isNamespaced) {
    delete object.metadata.namespace;
    return;
  }
  if (object.metadata.namespace && object.metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  object.metadata.namespace = namespace;
}

/** Fields that the API server derives on every write. */
export function prepare(resource: Resource, object: KubeObject): void {
  if (resource.plural === 'secrets') {
    object.type ??= 'Opaque';
    if (isRecord(object.stringData)) {
      const encoded = Object.entries(object.stringData).map(([key, value]) => [
        key,
        Buffer.from(String(value)).toString('base64'),
      ]);
      object.data = { ...(isRecord(object.data) ? object.data : {}), ...Object.fromEntries(encoded) };
      delete object.stringData;
    }
    for (const value of Object.values(isRecord(object.data) ? object.data : {}))
      if (typeof value !== 'string' || Buffer.from(value, 'base64').toString('base64') !== value)
        throw badRequest('Secret in version "v1" cannot be handled as a Secret: illegal base64 data');
  }
}

/** The API server's own admission gives every new Node this taint; the node life cycle takes it away once it is Ready. */
export function taintNewNode(node: KubeObject): void {
  const spec = isRecord(node.spec) ? node.spec : {};
  const taints = (Array.isArray(spec.taints) ? spec.taints : []) as Array<{ key?: string }>;
  if (!taints.some(({ key }) => key === 'node.kubernetes.io/not-ready'))
    node.spec = {
      ...spec,
      taints: [...taints, { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }],
    };
}

export const initialStatus = (resource: Resource): Record<string, unknown> =>
  resource.plural === 'pods' ? { phase: 'Pending', qosClass: 'BestEffort' } : {};
