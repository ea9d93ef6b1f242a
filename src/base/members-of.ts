/** The members of what was parsed from JSON; none for a text, a number, `null` and the like. */
export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
