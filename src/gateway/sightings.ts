import { EXPECTED, ORDINARY, RESERVED } from '#domain';
import type { DueListing } from './operator-names.ts';

/** What has happened to the Node of a name. */
export type Sighting = 'came' | 'gone';

/**
 * Names whose Node was seen to come or go, in this order, until their listings have followed. An expected Node that has come
 * makes its name an ordinary one, however soon it goes again; whatever comes after an ordinary one has gone came without
 * being asked for.
 */
export interface Sightings {
  add(name: string, sighting: Sighting): void;
  /** Lists the name as its sightings ask for; what fails is tried again at the next call. */
  follow(name: string, relist: (due: DueListing) => Promise<void>): Promise<void>;
}

export function createSightings(): Sightings {
  const unfollowed = new Map<string, readonly Sighting[]>();

  function forgetFirst(name: string): void {
    const rest = (unfollowed.get(name) ?? []).slice(1);
    if (rest.length > 0) unfollowed.set(name, rest);
    else unfollowed.delete(name);
  }

  return {
    add(name, sighting) {
      // To and fro, over and over, while the API server is away: the last two say it all.
      unfollowed.set(name, [...(unfollowed.get(name) ?? []), sighting].slice(-2));
    },
    async follow(name, relist) {
      for (let seen = unfollowed.get(name); seen?.[0]; seen = unfollowed.get(name)) {
        await relist({ name, ...listingAfter(seen[0]) });
        forgetFirst(name);
      }
    },
  };
}

function listingAfter(sighting: Sighting): Pick<DueListing, 'from' | 'to'> {
  switch (sighting) {
    case 'came':
      return { from: EXPECTED, to: ORDINARY };
    case 'gone':
      return { from: ORDINARY, to: RESERVED };
    default:
      return sighting satisfies never;
  }
}
