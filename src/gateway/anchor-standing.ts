import { dirname } from 'node:path';
import { DaasError } from '#base';
import type { AuditAnchor } from '#domain';
import { lineHash } from './audit-chain.ts';
import { ROTATED_EVENT } from './audit-files.ts';
import { auditPlace, type ParsedLine, parseAuditLine } from './audit-reading.ts';
import { generationOf, type KeyedHash, RESTORED_EVENT } from './audit-tail.ts';
import { linesFromEnd } from './lines-from-end.ts';

/** How the audit file stands to a line of it that was anchored on chain. */
export type AnchorStanding =
  | { readonly kind: 'held' }
  /** It is older than the oldest file: the gateway has removed the file that had it, as a line of its own says. */
  | { readonly kind: 'rotated' }
  | {
      readonly kind: 'missing';
      readonly detail: string;
      /** The operator has restored the state after the anchor was made. */
      readonly isAccepted: boolean;
    };

/** Written at each start that goes on without an anchored line, since the operator has accepted that. */
export const GIVEN_UP_EVENT = 'audit.anchor-given-up';
/** Written at each start that is refused for a state that was put back. */
export const ROLLED_BACK_EVENT = 'state.rolled_back';

/** A rotation while the files are read looks like files that are missing. */
const mostReadings = 5;

/** Reads back from the end to the anchored line, over all files, and in a file that was put back to lines as old as it. */
export async function anchorStanding(
  path: string,
  anchor: AuditAnchor,
  mac: KeyedHash,
): Promise<AnchorStanding> {
  for (let reading = 1; ; reading += 1) {
    const { files } = await auditPlace(dirname(path));
    let standing: AnchorStanding | undefined;
    try {
      standing = await standingIn(files, anchor, mac);
      if (standing.kind === 'held') return standing;
    } catch (error) {
      const isRotated = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isRotated || reading === mostReadings) throw error;
    }
    const { files: since } = await auditPlace(dirname(path));
    if (standing && since.join() === files.join()) return standing;
    if (reading === mostReadings)
      throw new DaasError(
        'DAAS_GATEWAY_AUDIT_FAILED',
        `the audit files beside ${path} change faster than they can be compared with what was anchored on chain`,
        { isRetryable: true },
      );
  }
}

/** A walk from the end, over lines that each are what the next one says of them. */
interface Run {
  readonly anchor: AuditAnchor;
  readonly mac: KeyedHash;
  last: number | undefined;
  /** The line that was read before, which comes after. */
  next: ParsedLine | undefined;
  /** The hash of another line in the place of the anchored one. */
  other: string | undefined;
  isHeld: boolean;
  isAccepted: boolean;
  /** The gateway was refused for this anchor, and nothing was accepted since: what it has written meanwhile removes no anchor. */
  isRefused: boolean;
  /** The gateway has removed the file that had the anchored line. */
  isRemoved: boolean;
}

async function standingIn(
  files: readonly string[],
  anchor: AuditAnchor,
  mac: KeyedHash,
): Promise<AnchorStanding> {
  const run: Run = {
    anchor,
    mac,
    last: undefined,
    next: undefined,
    other: undefined,
    isHeld: false,
    isAccepted: false,
    isRefused: false,
    isRemoved: false,
  };
  for (const file of files.toReversed())
    for await (const text of linesFromEnd(file)) {
      const line = parseAuditLine(text);
      const standing = line && take(run, line);
      if (standing) return standing;
    }
  if (run.isHeld) return { kind: 'held' };
  const { next: first, other, isRemoved, isRefused } = run;
  // Every line that is there is newer than the anchored one.
  const isNewer = first !== undefined && first.seq > anchor.sequence && other === undefined;
  const isContinued = first?.seq !== anchor.sequence + 1 || first.prev === anchor.hash;
  if (isNewer && isContinued && isRemoved && !isRefused) return { kind: 'rotated' };
  return missing(run);
}

/** `undefined`: the walk goes on. */
function take(run: Run, line: ParsedLine): AnchorStanding | undefined {
  const { anchor, mac, next } = run;
  // Anybody can write the hash of the chain into a line of their own: it has to be that of its content.
  const isContinued = !next || (next.prev === line.hash && next.seq === line.seq + 1);
  if (lineHash(line.body) !== line.hash || !isContinued) return missing(run, line.seq);
  run.last ??= line.seq;
  run.next = line;
  if (line.seq === anchor.sequence) {
    if (line.hash === anchor.hash) run.isHeld = true;
    else run.other = line.hash;
  }
  // To the checkpoint with which the state was compared: one that was cut out leaves a gap in the chain.
  if (run.isHeld) return mac && !generationOf(line) ? undefined : { kind: 'held' };
  // The chain alone does not show who wrote a line.
  if (!mac || line.mac === mac(line.hash)) heed(run, line);
  const isAsOld = line.seq <= anchor.sequence && Date.parse(line.at) <= anchor.atMs;
  return isAsOld ? missing(run) : undefined;
}

/** What the gateway itself has written of the anchored line, the newest first. */
function heed(run: Run, line: ParsedLine): void {
  const { anchor } = run;
  const { event, facts } = line;
  if (accepts(line, anchor)) run.isAccepted = true;
  if (event === ROLLED_BACK_EVENT && facts.transaction === anchor.digest && !run.isAccepted)
    run.isRefused = true;
  if (event === ROTATED_EVENT && removedThrough(facts.removed) >= anchor.sequence) run.isRemoved = true;
}

/** The last line in the files that a line names as removed. */
function removedThrough(removed: unknown): number {
  const names = typeof removed === 'string' ? removed.split(',') : [];
  return Math.max(0, ...names.map((name) => Number(/-until-(\d+)\.jsonl$/.exec(name)?.[1] ?? 0)));
}

function missing({ anchor, last = 0, other, isHeld, isAccepted }: Run, broken?: number): AnchorStanding {
  const gap = `line ${broken} is not the one that was written there`;
  const detail = isHeld
    ? `${gap}, and the transaction ${anchor.digest} has anchored on chain what follows it`
    : missingText(anchor, last, other) + (broken === undefined ? '' : `; ${gap}`);
  return { kind: 'missing', detail, isAccepted };
}

/** Whether a line says that the operator goes on without the anchored one. */
function accepts(line: ParsedLine, { atMs, digest }: AuditAnchor): boolean {
  return givenUp(line) === digest || (restoredAtMs(line) ?? Number.NEGATIVE_INFINITY) > atMs;
}

/** The transaction whose anchor is given up; `undefined`: the line says nothing of that. */
export function givenUp({ event, facts }: ParsedLine): string | undefined {
  const { transaction } = facts;
  return event === GIVEN_UP_EVENT && typeof transaction === 'string' ? transaction : undefined;
}

/** When the operator has restored the state, not when the next start has written that; `undefined`: the line says nothing of that. */
export function restoredAtMs({ event, at, facts }: ParsedLine): number | undefined {
  if (event !== RESTORED_EVENT) return undefined;
  const { restored_at: restoredAt } = facts;
  return Date.parse(typeof restoredAt === 'string' ? restoredAt : at);
}

/** In words for people. */
export function missingText(
  { sequence, hash, digest, atMs }: AuditAnchor,
  last: number,
  other: string | undefined,
): string {
  const has =
    other !== undefined ? `has the hash ${other}` : last < sequence ? 'is missing at its end' : 'is missing';
  return `line ${sequence} of the audit file, which the transaction ${digest} anchored on chain with the hash ${hash} at ${new Date(atMs).toISOString()}, ${has}`;
}
