import { isDeepStrictEqual } from 'node:util';
import { isRecord, type KubeObject } from './objects.ts';
import { badRequest, Refusal } from './status.ts';

/** Applies a patch by its content type; refuses a kind of patch that this stand-in has not got with 415. */
export function applyPatch(contentType: string, object: KubeObject, patch: unknown): KubeObject {
  switch (contentType.split(';')[0]?.trim()) {
    case 'application/json-patch+json':
      return jsonPatch(object, patch) as KubeObject;
    case 'application/merge-patch+json':
      return mergePatch(object, patch) as KubeObject;
    case 'application/strategic-merge-patch+json':
      return strategicMerge(object, patch, '') as KubeObject;
    default:
      throw new Refusal(
        415,
        'UnsupportedMediaType',
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json',
      );
  }
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch))
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  return result;
}

/** Lists that are merged by a key of their items, for the kinds served here; all other lists are replaced. */
const mergeKeys: Readonly<Record<string, string>> = {
  'status.conditions': 'type',
  'status.addresses': 'type',
  'spec.containers': 'name',
  'spec.initContainers': 'name',
  'spec.volumes': 'name',
  'metadata.ownerReferences': 'uid',
};
/** Lists of plain values that are merged as sets. */
const mergedSets: readonly string[] = ['metadata.finalizers', 'spec.podCIDRs'];
const fromSet = '$deleteFromPrimitiveList/';

/** Kubernetes' strategic merge patch, with the directives `$patch: delete|replace`; orderings are not kept. */
function strategicMerge(target: unknown, patch: unknown, path: string): unknown {
  if (Array.isArray(patch)) {
    if (mergedSets.includes(path) && Array.isArray(target))
      return [...new Set<unknown>([...target, ...patch])];
    const key = mergeKeys[path];
    if (key === undefined || !Array.isArray(target))
      return patch.filter((item) => !isRecord(item) || !item.$patch);
    const merged = [...target] as unknown[];
    for (const item of patch) {
      if (!isRecord(item)) throw badRequest(`the items of ${path} must be objects`);
      const index = merged.findIndex((one) => isRecord(one) && one[key] === item[key]);
      if (item.$patch === 'delete') {
        if (index >= 0) merged.splice(index, 1);
      } else if (index >= 0) merged[index] = strategicMerge(merged[index], item, `${path}[]`);
      else merged.push(item);
    }
    return merged;
  }
  if (!isRecord(patch)) return patch;
  const base = isRecord(target) && patch.$patch !== 'replace' ? target : {};
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(fromSet) && Array.isArray(value)) {
      const name = key.slice(fromSet.length);
      const list: unknown[] = Array.isArray(result[name]) ? result[name] : [];
      result[name] = list.filter((item) => !value.includes(item));
    }
    if (key.startsWith('$')) continue;
    if (value === null) delete result[key];
    else result[key] = strategicMerge(result[key], value, path === '' ? key : `${path}.${key}`);
  }
  return result;
}

/** RFC 6902; a failed `test` or a path that is not there is 422, as the API server answers it. */
function jsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations');
  let document: unknown = structuredClone(target);
  for (const step of patch) {
    if (!isRecord(step) || typeof step.path !== 'string') throw badRequest('an operation needs a path');
    document = jsonPatchStep(document, step as Record<string, unknown> & { path: string });
  }
  return document;
}

function jsonPatchStep(document: unknown, step: Record<string, unknown> & { path: string }): unknown {
  const path = pointer(step.path);
  switch (step.op) {
    case 'add':
      return insert(document, path, step.value);
    case 'replace':
      read(document, path);
      return insert(without(document, path), path, step.value);
    case 'remove':
      read(document, path);
      return without(document, path);
    case 'test':
      if (!isDeepStrictEqual(read(document, path), step.value))
        throw unprocessable(`testing value ${step.path} failed`);
      return document;
    case 'copy':
      return insert(document, path, structuredClone(read(document, pointer(String(step.from)))));
    case 'move': {
      const from = pointer(String(step.from));
      return insert(without(document, from), path, read(document, from));
    }
    default:
      throw badRequest(`Unexpected kind: ${String(step.op)}`);
  }
}

const unprocessable = (why: string) =>
  new Refusal(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`);

const pointer = (text: string): string[] =>
  text === ''
    ? []
    : text
        .slice(1)
        .split('/')
        .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

function read(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const key of path) {
    const holder: Record<string, unknown> | undefined =
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
    if (!holder || !Object.hasOwn(holder, key)) throw unprocessable(`no value at /${path.join('/')}`);
    value = holder[key];
  }
  return value;
}

function insert(document: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (Array.isArray(document)) {
    const copy = [...(document as unknown[])];
    const index = key === '-' ? copy.length : Number(key);
    if (!Number.isInteger(index) || index < 0 || index > copy.length)
      throw unprocessable(`no place ${key} in the list`);
    if (rest.length === 0) copy.splice(index, 0, value);
    else copy[index] = insert(copy[index], rest, value);
    return copy;
  }
  if (!isRecord(document)) throw unprocessable(`no value to hold ${key}`);
  if (rest.length > 0 && !Object.hasOwn(document, key)) throw unprocessable(`no value at ${key}`);
  return { ...document, [key]: rest.length === 0 ? value : insert(document[key], rest, value) };
}

function without(document: unknown, path: readonly string[]): unknown {
  const [key = '', ...rest] = path;
  if (Array.isArray(document)) {
    const copy = [...(document as unknown[])];
    if (rest.length === 0) copy.splice(Number(key), 1);
    else copy[Number(key)] = without(copy[Number(key)], rest);
    return copy;
  }
  const copy = { ...(document as Record<string, unknown>) };
  if (rest.length === 0) delete copy[key];
  else copy[key] = without(copy[key], rest);
  return copy;
}
