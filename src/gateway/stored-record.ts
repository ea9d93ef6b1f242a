import { z } from 'zod';
import { ConfigurationError } from '#base';

/** Milliseconds since the epoch. */
export const Millis = z.number().int().nonnegative();

/** `camelCase` in memory → the name of the member in the store, and how its value is stored. */
type Members = Readonly<Record<string, readonly [storedName: string, schema: z.ZodType]>>;
type StoredShape<M extends Members> = { [Name in keyof M as M[Name][0]]: M[Name][1] };
type InMemory<M extends Members> = { readonly [Name in keyof M]: z.output<M[Name][1]> };
type AnyRecord = Record<string, unknown>;

/**
 * A codec for a record whose members have other names in the store. Unknown members are refused. `z.decode` reads what
 * was stored, `z.encode` gives what to store.
 */
export function storedRecord<const M extends Members>(members: M) {
  const names = Object.entries(members).map(([name, [stored]]) => [name, stored] as const);
  const shape = Object.fromEntries(Object.values(members)) as StoredShape<M>;
  return z.codec(z.strictObject(shape), z.custom<InMemory<M>>(), {
    decode: (stored) =>
      Object.fromEntries(names.map(([name, key]) => [name, (stored as AnyRecord)[key]])) as InMemory<M>,
    encode: (value) =>
      Object.fromEntries(names.map(([name, key]) => [key, (value as AnyRecord)[name]])) as never,
  });
}

/** `null` in the store (JSON has no `undefined`), `undefined` in memory. */
export function orNull<Schema extends z.ZodType>(schema: Schema) {
  return z.codec(z.nullable(schema), z.custom<z.output<Schema> | undefined>(), {
    decode: (stored) => stored ?? undefined,
    encode: (value) => value ?? null,
  });
}

/** A member that earlier versions did not write. */
export function orDefault<Schema extends z.ZodType>(schema: Schema, fallback: z.output<Schema>) {
  return z.codec(z.optional(schema), z.custom<z.output<Schema>>(), {
    decode: (stored) => stored ?? fallback,
    encode: (value) => value as never,
  });
}

/** A `bigint` as decimal digits. */
export const Digits = z.codec(z.string().regex(/^\d+$/), z.bigint(), {
  decode: (digits) => BigInt(digits),
  encode: (value) => value.toString(),
});

/** @throws `DAAS_GATEWAY_STORE_DAMAGED` for a value that this version did not store under this key. */
export function readStored<Schema extends z.ZodType>(
  schema: Schema,
  { key, value, keyOf }: StoredValue<z.output<Schema>>,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success && (keyOf === undefined || keyOf(parsed.data) === key)) return parsed.data;
  throw new ConfigurationError(
    'DAAS_GATEWAY_STORE_DAMAGED',
    `the state record ${key} is not one that this version writes: restore the state file from a backup`,
    { cause: parsed.error },
  );
}

interface StoredValue<T> {
  readonly key: string;
  readonly value: unknown;
  /** Under which key such a record belongs: a record that was moved to another key does not count. */
  readonly keyOf?: (record: T) => string;
}
