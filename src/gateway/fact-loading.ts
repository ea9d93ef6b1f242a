import { forgetOldest } from '#base';
import type { ChainChanges } from '#domain';
import {
  FACT_FRESH_MS,
  FACT_LIFE_MS,
  type FactContext,
  MOST_ENTRIES,
  REFUSAL_LIFE_MS,
} from './fact-context.ts';
import type { FactEntry } from './fact-entries.ts';
import type { Worker } from './worker.ts';

/** A reading is repeated once, a little later: the node that answered may lag behind the one that announced the change. */
const secondLookMs = 2_000;
/** What falls due within this time is read together: otherwise each second has two calls of a few facts, however few workers there are. */
const togetherMs = 10_000;

/** Reads a token and its record from the chain. `knownRecordId`: for a token that may be gone. */
export async function loadFacts(
  context: FactContext,
  tokenId: string,
  knownRecordId?: string,
): Promise<FactEntry> {
  const { clock, clusterId, tokens, records, announced } = context;
  for (;;) {
    const startedAtMs = clock.monotonicMs();
    const announcedBefore = context.announcements;
    const token = await tokens.get(tokenId);
    const recordId =
      token === undefined ? knownRecordId : token.cluster === clusterId ? token.stakeId : undefined;
    const record = recordId === undefined ? undefined : await records.get(recordId);
    if (recordId !== undefined && (announced.get(recordId) ?? 0) > announcedBefore) continue;
    return keep(context, tokenId, { token, record, readAtMs: startedAtMs });
  }
}

function keep(
  context: FactContext,
  tokenId: string,
  reading: Pick<FactEntry, 'token' | 'record' | 'readAtMs'>,
): FactEntry {
  const lookAgainAtMs = context.entries.get(tokenId)?.lookAgainAtMs;
  const isAhead = lookAgainAtMs !== undefined && lookAgainAtMs > reading.readAtMs;
  const entry = { ...reading, isDirty: false, lookAgainAtMs: isAhead ? lookAgainAtMs : undefined };
  context.entries.put(tokenId, entry);
  schedule(context, tokenId, entry);
  return entry;
}

/** Schedules the next reading of a worker's token, spread over time: facts read together must not fall due together. */
function schedule({ registry, random, dueTimes }: FactContext, tokenId: string, entry: FactEntry): void {
  if (!registry.workerOfToken(tokenId)) return;
  const dueAtMs = entry.readAtMs + FACT_LIFE_MS * (0.5 + random() / 2);
  // Earlier rather than later: a fact that is too old is read when it is used.
  const togetherAtMs = Math.floor(dueAtMs / togetherMs) * togetherMs;
  dueTimes.set(tokenId, entry.lookAgainAtMs ?? togetherAtMs);
}

/** Follows a worker to another token, or away. */
export function takeWorkerChange(
  context: FactContext,
  before: Worker | undefined,
  after: Worker | undefined,
): void {
  const { entries, urgent, dueTimes } = context;
  if (before?.tokenId === after?.tokenId) return;
  if (before) {
    urgent.delete(before.tokenId);
    dueTimes.delete(before.tokenId);
    entries.release(before.tokenId);
  }
  if (!after) return;
  const entry = entries.get(after.tokenId);
  if (entry && !entry.isDirty) schedule(context, after.tokenId, entry);
  else urgent.add(after.tokenId);
}

/** Marks everything that a report names, or everything there is; returns the records that it names. */
export function markChanged(context: FactContext, report: ChainChanges): ReadonlySet<string> {
  const { entries } = context;
  const changed = new Set([...report.critical, ...report.others]);
  for (const recordId of changed) announce(context, recordId);
  forgetOldest(context.announced, MOST_ENTRIES);
  if (report.isFullPassNeeded)
    for (const [tokenId, entry] of entries.all()) markDirty(context, tokenId, entry);
  else
    for (const recordId of changed)
      for (const tokenId of entries.ofRecord(recordId)) {
        const entry = entries.get(tokenId);
        if (entry) markDirty(context, tokenId, entry);
      }
  return changed;
}

function announce(context: FactContext, recordId: string): void {
  const { announced, records } = context;
  context.announcements += 1;
  // Deleted and set again: the first key of the map is then the one announced longest ago.
  announced.delete(recordId);
  announced.set(recordId, context.announcements);
  records.forget(recordId);
}

function markDirty(
  { clock, tokens, registry, urgent }: FactContext,
  tokenId: string,
  entry: FactEntry,
): void {
  entry.isDirty = true;
  entry.lookAgainAtMs = clock.monotonicMs() + secondLookMs;
  tokens.forget(tokenId);
  if (registry.workerOfToken(tokenId)) urgent.add(tokenId);
}

/** A fact counts as confirmed at every reading of the cluster object that does not name its record. */
export function confirmedAtMs({ heardAtMs }: FactContext, entry: FactEntry): number {
  return entry.isDirty ? entry.readAtMs : Math.max(entry.readAtMs, heardAtMs ?? 0);
}

/** Whether a fact can be decided on now without asking the chain. */
export function isUsable(context: FactContext, entry: FactEntry, isGood: boolean): boolean {
  const nowMs = context.clock.monotonicMs();
  const ageMs = nowMs - entry.readAtMs;
  if (entry.isDirty) return false;
  // The second look at a worker's token is scheduled; at a stranger's it is taken when the token is used.
  if (entry.lookAgainAtMs !== undefined && nowMs >= entry.lookAgainAtMs) return false;
  if (!isGood) return ageMs < REFUSAL_LIFE_MS;
  return ageMs < FACT_LIFE_MS && nowMs - confirmedAtMs(context, entry) < FACT_FRESH_MS;
}
