import type { ReplyCheck } from './reply.ts';

declare const kind: unique symbol;

/**
 * Names a service that the host injects. Interface and token share one name; two copies of this package agree, since the
 * symbol is global (`Symbol.for`).
 */
export interface Token<T> {
  readonly key: symbol;
  readonly name: string;
  readonly [kind]?: T;
}

export function token<T>(name: string): Token<T> {
  return { key: Symbol.for(`k3s-daas/${name}`), name };
}

/** How many implementations of an extension point a host must have once every plugin is set up. */
export type Cardinality = 'exactly-one' | 'at-most-one' | 'any';

/** An extension point: what plugins can provide to the host. */
export interface Point<T> {
  readonly key: symbol;
  readonly name: string;
  readonly cardinality: Cardinality;
  /** The methods an implementation must have, and what the host checks of the reply of each. */
  readonly replies: Readonly<Record<string, ReplyCheck>>;
  /** The same for methods that an implementation may leave out. */
  readonly optionalReplies: Readonly<Record<string, ReplyCheck>>;
  readonly [kind]?: T;
}

type Replies<T> = Readonly<Partial<Record<keyof T & string, ReplyCheck>>>;

/** `replies`: by method of `T`. A reply that does not pass is an error of the plugin that gave it. */
export function point<T>(
  name: string,
  cardinality: Cardinality,
  replies?: Replies<T>,
  optionalReplies?: Replies<T>,
): Point<T> {
  return {
    key: Symbol.for(`k3s-daas/point/${name}`),
    name,
    cardinality,
    replies: withoutGaps(replies),
    optionalReplies: withoutGaps(optionalReplies),
  };
}

function withoutGaps<T>(replies: Replies<T> | undefined): Readonly<Record<string, ReplyCheck>> {
  const checks = Object.entries<ReplyCheck | undefined>(replies ?? {});
  return Object.fromEntries(checks.flatMap(([method, check]) => (check ? [[method, check]] : [])));
}
