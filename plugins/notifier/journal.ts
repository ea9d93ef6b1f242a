import type { SentNotice } from 'k3s-daas/plugin';

/** Priorities of syslog(3): error, warning, notice. */
const priorities = { critical: 3, warning: 4, info: 5 } as const;

/** One line with the prefix that journald reads as its priority: `<4>…`. */
export function journalLine({ severity, state, kind, nodeId, summary, remedy }: SentNotice): string {
  const priority = state === 'ended' ? priorities.info : priorities[severity];
  const text = state === 'ended' ? `${kind} of ${nodeId} has ended` : `${summary}. ${remedy}`;
  // A line break would begin a record without a priority.
  return `<${priority}>k3s-daas ${kind}: ${text.replace(/\p{Cc}+/gu, ' ')}\n`;
}
