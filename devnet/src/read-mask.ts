import { fieldInvalid } from './rpc-error.ts';

/** What is used of protobuf-ts' run-time description of a message. */
export interface MessageDescription {
  readonly typeName: string;
  readonly fields: ReadonlyArray<{
    readonly name: string;
    readonly localName: string;
    readonly kind: string;
    readonly oneof?: string | undefined;
  }>;
  create(): object;
}

/** Asked-for fields: a name maps to what is asked of that field's own fields, `undefined` to all of it. */
export type MaskTree = ReadonlyMap<string, MaskTree | undefined> | undefined;

/**
 * Reads a field mask (`effects.status`, `*`) against the message it is for.
 * Throws INVALID_ARGUMENT `invalid read_mask path: X` for a path that does not exist.
 */
export function readMask(
  mask: { readonly paths: readonly string[] } | undefined,
  byDefault: string,
  description: MessageDescription,
): MaskTree {
  const paths = mask === undefined ? byDefault.split(',') : mask.paths;
  if (paths.includes('*')) return undefined;
  const tree: MutableTree = new Map();
  for (const path of paths) {
    const names = path.split('.');
    if (!exists(description, names)) throw fieldInvalid('read_mask', `invalid read_mask path: ${path}`);
    insert(tree, names);
  }
  return tree;
}

type MutableTree = Map<string, MutableTree | undefined>;

function insert(tree: MutableTree, [name, ...rest]: readonly string[]): void {
  if (name === undefined) return;
  if (rest.length === 0) {
    tree.set(name, undefined);
    return;
  }
  // A field that is asked for as a whole stays so.
  if (tree.has(name) && tree.get(name) === undefined) return;
  const inner = tree.get(name) ?? new Map();
  tree.set(name, inner);
  insert(inner, rest);
}

function exists(description: MessageDescription | undefined, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return true;
  const field = description?.fields.find((candidate) => candidate.name === name);
  if (!field) return false;
  return rest.length === 0 || exists(innerDescription(field), rest);
}

function innerDescription(field: object): MessageDescription | undefined {
  const { kind, T } = field as { kind: string; T?: () => MessageDescription };
  return kind === 'message' ? T?.() : undefined;
}

/** True when anything at or below `path` is asked for: what is costly to render asks this first. */
export function asksFor(tree: MaskTree, path: string): boolean {
  let at = tree;
  for (const name of path.split('.')) {
    if (at === undefined) return true;
    if (!at.has(name)) return false;
    at = at.get(name);
  }
  return true;
}

/** What the mask says of one field's own fields. */
export const subMask = (tree: MaskTree, name: string): MaskTree => tree?.get(name);

/** The message with only the fields that are asked for. */
export function applyMask<T extends object>(message: T, tree: MaskTree, description: MessageDescription): T {
  if (tree === undefined) return message;
  const source = message as Record<string, unknown>;
  const kept = description.create() as Record<string, unknown>;
  for (const field of description.fields) {
    if (!tree.has(field.name)) continue;
    const inner = tree.get(field.name);
    const holder = field.oneof === undefined ? undefined : (source[field.oneof] as OneOf | undefined);
    if (field.oneof !== undefined) {
      if (holder?.oneofKind === field.localName) kept[field.oneof] = holder;
      continue;
    }
    kept[field.localName] = maskValue(source[field.localName], inner, innerDescription(field));
  }
  return kept as T;
}

interface OneOf {
  readonly oneofKind?: string;
}

function maskValue(value: unknown, tree: MaskTree, description: MessageDescription | undefined): unknown {
  if (tree === undefined || description === undefined || value === undefined) return value;
  if (Array.isArray(value)) return value.map((item: object) => applyMask(item, tree, description));
  return applyMask(value as object, tree, description);
}
