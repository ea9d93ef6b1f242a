import type { AuditAnchor } from '#domain';
import { givenUp as givenUpBy, missingText, restoredAtMs as restoredAtMsOf } from './anchor-standing.ts';
import type { AuditText, ParsedLine } from './audit-reading.ts';
import { ANCHORED_EVENT } from './audit-tail.ts';

/** How audit files stand to the lines of them that are anchored on chain. */
export interface AnchorsVerdict {
  /** Lines that are there as they were anchored. */
  readonly held: number;
  /** Older than the first line that is here. */
  readonly before: number;
  /** Not here, and the state was restored after they were anchored, as a line says. */
  readonly givenUp: number;
  /** Lines that say that one was anchored. */
  readonly noted: number;
}

interface AnchorProblem {
  readonly text: AuditText;
  readonly fault: 'not_as_seen' | 'end_missing';
  readonly detail: string;
}

/** Hears every line of a walk, and compares those that are anchored. */
export interface AnchorWalk {
  take(text: AuditText, line: ParsedLine): void;
  end(
    last: AuditText,
    lines: { readonly first: number; readonly last: number },
  ): { readonly verdict: AnchorsVerdict; readonly problems: readonly AnchorProblem[] };
}

/** Where an anchored line should be. */
interface Place {
  readonly anchor: AuditAnchor;
  isHeld: boolean;
  /** The line that stands there instead. */
  other: { readonly text: AuditText; readonly hash: string } | undefined;
}

export function createAnchorWalk(anchors: readonly AuditAnchor[]): AnchorWalk {
  const places: Place[] = anchors.map((anchor) => ({ anchor, isHeld: false, other: undefined }));
  const bySequence = Map.groupBy(places, ({ anchor }) => anchor.sequence);
  let restoredAtMs = Number.NEGATIVE_INFINITY;
  const accepted = new Set<string | undefined>();
  let noted = 0;
  let firstPrev: string | undefined;
  return {
    take(text, line) {
      const { seq, hash, event } = line;
      firstPrev ??= line.prev;
      restoredAtMs = Math.max(restoredAtMs, restoredAtMsOf(line) ?? restoredAtMs);
      accepted.add(givenUpBy(line));
      if (event === ANCHORED_EVENT) noted += 1;
      for (const place of bySequence.get(seq) ?? [])
        if (place.anchor.hash === hash) place.isHeld = true;
        else place.other = { text, hash };
    },
    end(text, { first, last }) {
      const missing = places.filter(({ isHeld }) => !isHeld);
      const isBefore = ({ sequence, hash }: AuditAnchor) =>
        sequence < first && (sequence !== first - 1 || hash === firstPrev);
      const before = missing.filter(({ anchor, other }) => isBefore(anchor) && !other);
      const here = missing.filter((place) => !before.includes(place));
      // A file of before the restore, which a thief has made anew, names none after it.
      const givenUp = here.filter(({ anchor }) => restoredAtMs > anchor.atMs || accepted.has(anchor.digest));
      const problems = here
        .filter((place) => !givenUp.includes(place))
        .map(({ anchor, other }): AnchorProblem => {
          const fault = other || anchor.sequence <= last ? 'not_as_seen' : 'end_missing';
          return { text: other?.text ?? text, fault, detail: missingText(anchor, last, other?.hash) };
        });
      const held = places.length - missing.length;
      return { verdict: { held, before: before.length, givenUp: givenUp.length, noted }, problems };
    },
  };
}
