import type { ClaimEntry } from '#gateway';
import { ageText } from './gateway-views.ts';
import { table } from './io.ts';

const effects: Readonly<Record<string, string>> = {
  closed: 'closed to new stakes; `gateway release` opens it',
  contested: 'a live stake holds the name',
  noted: 'its certificate counts for nothing',
};

/** When a name was claimed, with which credential perhaps, and what follows. */
export function claimText(
  { at, credentials, other_credentials: others, effect }: ClaimEntry,
  nowMs: number,
): string {
  const lived = `${credentials.join(', ')}${others > 0 ? ` and ${others} others` : ''}`;
  const alive = credentials.length === 0 ? 'no join credential of ours lived' : `while ${lived} lived`;
  return `${ageText(at, nowMs)}, ${alive}: ${effects[effect] ?? effect}`;
}

const mostShown = 10;

/** Beneath the list of nodes; `undefined`: there are none. */
export function claimsText(claims: readonly ClaimEntry[], count: number, nowMs: number): string | undefined {
  if (count === 0) return undefined;
  const shown = claims.slice(0, mostShown);
  const more = count - shown.length;
  return [
    `${count} ${count === 1 ? 'name was' : 'names were'} claimed at the k3s server with a join credential:`,
    table(shown.map((claim) => [`  ${claim.node_id}`, claimText(claim, nowMs)])),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join('\n');
}
