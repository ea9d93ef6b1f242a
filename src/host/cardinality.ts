import { ConfigurationError } from '#base';
import type { Point } from '#plugin';

/** What a plugin provides for an extension point. */
export interface Provision {
  readonly point: Point<unknown>;
  readonly plugin: string;
  readonly implementation: unknown;
}

/**
 * Checks how many plugins provide each point: of `points`, and of those that were provided.
 *
 * @throws `DAAS_PLUGIN_CARDINALITY` (exit 78).
 */
export function checkCardinality(
  points: ReadonlyArray<Point<unknown>>,
  provisions: readonly Provision[],
): void {
  const all = new Map(
    [...points, ...provisions.map(({ point }) => point)].map((point) => [point.key, point]),
  );
  for (const point of all.values()) {
    const owners = provisions.filter((item) => item.point.key === point.key).map(({ plugin }) => plugin);
    if (owners.length === 0 && point.cardinality === 'exactly-one') throw notProvided(point);
    if (owners.length > 1 && point.cardinality !== 'any') throw providedTwice(point, owners);
  }
}

export function notProvided(point: Point<unknown>): ConfigurationError {
  return new ConfigurationError(
    'DAAS_PLUGIN_CARDINALITY',
    `no plugin provides ${point.name}, which the host cannot do without: add one that does to "plugins"`,
    { details: { point: point.name } },
  );
}

function providedTwice(point: Point<unknown>, owners: readonly string[]): ConfigurationError {
  const names = owners.map((owner) => `'${owner}'`).join(' and ');
  return new ConfigurationError(
    'DAAS_PLUGIN_CARDINALITY',
    `${names} provide ${point.name}, of which there can be one: remove one of them from "plugins"`,
    { details: { point: point.name, owners } },
  );
}
