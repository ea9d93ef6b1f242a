/**
 * Looks at what a plugin's method returned. `undefined`: it is what the contract promises; else what is wrong with it, as
 * in `tokenId is missing`.
 */
export type ReplyCheck = (reply: unknown) => string | undefined;

/** A value of a primitive type, named as `typeof` names it. */
export function aValue(type: 'string' | 'bigint' | 'number' | 'boolean'): ReplyCheck {
  return (reply) => (typeof reply === type ? undefined : `is ${kindOf(reply)}, not a ${type}`);
}

/** A whole number from `minimum` on. */
export function aCount(minimum: number): ReplyCheck {
  return (reply) =>
    Number.isSafeInteger(reply) && (reply as number) >= minimum
      ? undefined
      : `is ${typeof reply === 'number' ? reply : kindOf(reply)}, not a whole number from ${minimum} on`;
}

/** An object whose members pass; members that are not named are not looked at. */
export function anObject(members: Readonly<Record<string, ReplyCheck>>): ReplyCheck {
  return (reply) => {
    if (typeof reply !== 'object' || reply === null) return `is ${kindOf(reply)}, not an object`;
    for (const [name, check] of Object.entries(members)) {
      const value = (reply as Record<string, unknown>)[name];
      const problem = value === undefined ? check(undefined) && 'is missing' : check(value);
      if (problem) return `${name} ${problem}`;
    }
    return undefined;
  };
}

/** A list whose items pass. */
export function aListOf(item: ReplyCheck): ReplyCheck {
  return (reply) => {
    if (!Array.isArray(reply)) return `is ${kindOf(reply)}, not a list`;
    for (const [index, value] of reply.entries()) {
      const problem = item(value);
      if (problem) return `[${index}] ${problem}`;
    }
    return undefined;
  };
}

/** An object whose every value passes, whatever its name. */
export function aRecordOf(value: ReplyCheck): ReplyCheck {
  return (reply) => {
    if (typeof reply !== 'object' || reply === null) return `is ${kindOf(reply)}, not an object`;
    for (const [name, member] of Object.entries(reply)) {
      const problem = value(member);
      if (problem) return `${name} ${problem}`;
    }
    return undefined;
  };
}

export function optional(check: ReplyCheck): ReplyCheck {
  return (reply) => (reply === undefined ? undefined : check(reply));
}

/** Nothing is promised: whatever comes back is ignored. */
export const nothing: ReplyCheck = () => undefined;

/** The kind of a value, never the value itself: it may be a secret. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
