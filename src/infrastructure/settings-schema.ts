import type { z } from 'zod';

export type SettingKind = 'text' | 'number' | 'boolean' | 'list' | 'json';

/** One setting: a leaf of the schema. */
export interface SettingRow {
  /** `chain.timeoutMs` */
  readonly name: string;
  readonly path: readonly string[];
  /** `K3S_DAAS_CHAIN_TIMEOUT_MS` */
  readonly environment: string;
  /** How the text of an environment variable or flag is read. */
  readonly kind: SettingKind;
  readonly isSecret: boolean;
  readonly description: string | undefined;
}

/** Everything zod wraps a schema in that does not change what may be written in a file. */
interface AnyDef {
  readonly type: string;
  readonly innerType?: AnySchema;
  readonly in?: AnySchema;
  readonly options?: readonly AnySchema[];
}
type AnySchema = z.ZodType & {
  readonly _zod: { readonly def: AnyDef };
  readonly shape?: Readonly<Record<string, AnySchema>>;
};

const wrappers = new Set(['optional', 'default', 'prefault', 'nullable', 'readonly', 'nonoptional', 'catch']);

/**
 * The leaves of an object schema, in its order. Descriptions and `secret: true` come from `.meta()`, so that the schema
 * is also the documentation of the settings.
 */
export function describeSettings(schema: z.ZodType, environmentPrefix: string): readonly SettingRow[] {
  return [...leaves(schema as AnySchema, [], {})].map(({ path, kind, meta }) => ({
    name: path.join('.'),
    path,
    environment: environmentPrefix + path.map(constantCase).join('_'),
    kind,
    isSecret: meta.secret === true,
    description: meta.description,
  }));
}

/** The names allowed at a place of the schema, `undefined` when the place is no object. */
export function namesAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] | undefined {
  let here = bare(schema as AnySchema).schema;
  for (const key of path) {
    const next =
      typeof key === 'number' && here._zod.def.type === 'array'
        ? (here._zod.def as unknown as { element: AnySchema }).element
        : here.shape?.[String(key)];
    if (!next) return undefined;
    here = bare(next).schema;
  }
  return here.shape && Object.keys(here.shape);
}

interface Meta {
  readonly description?: string;
  readonly secret?: boolean;
}

function* leaves(
  schema: AnySchema,
  path: readonly string[],
  above: Meta,
): Generator<{ path: readonly string[]; kind: SettingKind; meta: Meta }> {
  const { schema: inner, meta } = bare(schema);
  if (inner.shape) {
    for (const [name, member] of Object.entries(inner.shape)) yield* leaves(member, [...path, name], {});
  } else if (path.length > 0) {
    yield { path, kind: kindOf(inner), meta: { ...above, ...meta } };
  }
}

/** Takes the wrappers off, keeping what they say about the setting. */
function bare(schema: AnySchema): { readonly schema: AnySchema; readonly meta: Meta } {
  let here = schema;
  let meta: Meta = {};
  for (;;) {
    meta = { ...(here.meta() as Meta | undefined), ...meta };
    const { type, innerType, in: input } = here._zod.def;
    if (wrappers.has(type) && innerType) here = innerType;
    else if (type === 'pipe' && input) here = input;
    else return { schema: here, meta };
  }
}

function kindOf(schema: AnySchema): SettingKind {
  const { type, options } = schema._zod.def;
  switch (type) {
    case 'number':
    case 'boolean':
      return type;
    case 'array':
      return 'list';
    case 'union': {
      const kinds = new Set((options ?? []).map((option) => kindOf(bare(option).schema)));
      return kinds.has('list') ? 'list' : kinds.has('json') ? 'json' : 'text';
    }
    case 'record':
    case 'object':
    case 'unknown':
    case 'any':
      return 'json';
    default:
      return 'text';
  }
}

/** `keyFile` → `KEY_FILE` */
function constantCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}
