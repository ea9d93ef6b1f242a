import type { Clock } from '#base';
import type { Notice, SentNotice } from '#plugin';
import type { HostEventBus } from './events.ts';

/** What remains the case is told again after this time. */
const repeatAfterMs = 12 * 3_600_000;

export interface OpenNotice extends Notice {
  readonly sinceMs: number;
}

/** What needs a person now. */
export interface Attention {
  open(): readonly OpenNotice[];
}

interface Entry {
  readonly notice: Notice;
  readonly sinceMs: number;
  readonly toldAtMs: number;
}

const ranks: Readonly<Record<Notice['severity'], number>> = { info: 0, warning: 1, critical: 2 };

/**
 * Keeps what plugins and host raise until it ends. A notice that is raised again is told again when it has become more
 * severe, or after half a day: a fact that is looked at every minute must not fill a mailbox.
 */
export function followAttention(
  {
    events,
    clock,
    nodeId,
  }: { readonly events: HostEventBus; readonly clock: Clock; readonly nodeId: string },
  tell: (notice: SentNotice) => void,
): Attention {
  const entries = new Map<string, Entry>();
  events.on('attention.needed', (notice) => {
    const key = keyOf(notice);
    const known = entries.get(key);
    const nowMs = clock.nowMs();
    const sinceMs = known?.sinceMs ?? nowMs;
    const isWorse = known !== undefined && ranks[notice.severity] > ranks[known.notice.severity];
    const isDue = known === undefined || isWorse || nowMs - known.toldAtMs >= repeatAfterMs;
    entries.set(key, { notice, sinceMs, toldAtMs: isDue ? nowMs : known.toldAtMs });
    if (isDue) tell({ ...notice, nodeId, sinceMs, state: known === undefined ? 'raised' : 'repeated' });
  });
  events.on('attention.ended', (ended) => {
    const key = keyOf(ended);
    const known = entries.get(key);
    if (!known) return;
    entries.delete(key);
    tell({ ...known.notice, nodeId, sinceMs: known.sinceMs, state: 'ended' });
  });
  return { open: () => Array.from(entries.values(), ({ notice, sinceMs }) => ({ ...notice, sinceMs })) };
}

function keyOf({ kind, subject = '' }: Pick<Notice, 'kind' | 'subject'>): string {
  return `${kind} ${subject}`;
}
