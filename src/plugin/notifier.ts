import { nothing } from './reply.ts';
import { type Point, point } from './token.ts';

/** What a person should know of while there is time to act. Ids are public; nothing here is secret. */
export interface Notice {
  /** A stable name such as `slash_proposed` (docs/operations.md); a plugin's own begins with its name. */
  readonly kind: string;
  /** `critical`: the node or its stake is lost unless somebody acts. */
  readonly severity: 'info' | 'warning' | 'critical';
  /** One sentence: what is the case. */
  readonly summary: string;
  /** One sentence: what to do. */
  readonly remedy: string;
  /** Which of several of a kind, such as the id of a proposal. */
  readonly subject?: string | undefined;
  readonly details?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** A notice as it is sent. */
export interface SentNotice extends Notice {
  readonly nodeId: string;
  /** Milliseconds since the epoch: since when it is the case. */
  readonly sinceMs: number;
  /** `raised`; `repeated` while it remains the case; `ended` when it no longer is. */
  readonly state: 'raised' | 'repeated' | 'ended';
}

/**
 * Takes notices to people. The host calls it for one notice at a time, with a deadline, and tries again when it throws;
 * nothing in the host waits for it.
 */
export interface Notifier {
  notify(notice: SentNotice, signal: AbortSignal): Promise<void>;
}

export const Notifier: Point<Notifier> = point<Notifier>('notifier', 'any', { notify: nothing });
