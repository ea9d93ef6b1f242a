export interface Orderable {
  readonly name: string;
  readonly after?: readonly string[] | undefined;
}

export type Ordering<T> =
  | { readonly kind: 'ordered'; readonly items: readonly T[] }
  /** The names of one cycle, the first repeated at the end: `a → b → a`. */
  | { readonly kind: 'cycle'; readonly names: readonly string[] };

/**
 * Orders plugins so that each comes after those it names in `after`; among those that could come next, the first of the
 * configuration does. Names that are not there are no obstacle: `after` is about order, not about being needed.
 */
export function orderPlugins<T extends Orderable>(plugins: readonly T[]): Ordering<T> {
  const names = new Set(plugins.map((plugin) => plugin.name));
  const waiting = [...plugins];
  const placed = new Set<string>();
  const items: T[] = [];
  while (waiting.length > 0) {
    const next = waiting.findIndex((plugin) =>
      (plugin.after ?? []).every((name) => placed.has(name) || !names.has(name)),
    );
    if (next === -1) return { kind: 'cycle', names: findCycle(waiting) };
    const [plugin] = waiting.splice(next, 1);
    if (!plugin) break;
    placed.add(plugin.name);
    items.push(plugin);
  }
  return { kind: 'ordered', items };
}

/** Walks along `after` among plugins of which none can come next: the walk must come by a name twice. */
function findCycle(stuck: readonly Orderable[]): readonly string[] {
  const byName = new Map(stuck.map((plugin) => [plugin.name, plugin]));
  const path: string[] = [];
  let name = stuck[0]?.name;
  while (name !== undefined && !path.includes(name)) {
    path.push(name);
    name = byName.get(name)?.after?.find((other) => byName.has(other));
  }
  return name === undefined ? path : [...path.slice(path.indexOf(name)), name];
}
