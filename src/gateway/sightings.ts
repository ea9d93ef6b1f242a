import { EXPECTED, ORDINARY, RESERVED } from '#domain';
import type { DueListing } from './operator-names.ts';

/** A change of the Node of a name. */
export type Sighting = 'came' | 'gone';

/**
 * Names whose Node appeared or disappeared, in this order, until their listings have followed. An expected Node that has
 * appeared makes its name an ordinary one, however soon it disappears. A Node that appears after an ordinary one has
 * disappeared was not expected.
 */
export interface Sightings {
  add(name: string, sighting: Sighting): void;
  /** Changes the listing of the name sighting by sighting. What fails is tried again at the next call. */
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
      // Many changes while the API server is away: the last two suffice.
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
