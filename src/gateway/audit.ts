import { DaasError, messageOf } from '#base';
import { isDiskFull } from '#infrastructure';
import { type AuditEntry, type AuditFacts, type ChainHead, chainLines, GENESIS } from './audit-chain.ts';
import { type AuditFiles, type AuditFilesOptions, openAuditFiles, ROTATED_EVENT } from './audit-files.ts';
import {
  checkpointEntry,
  isSealDue,
  linesBeyond,
  noSeal,
  type Seal,
  sealedBy,
  writeHead,
} from './audit-seal.ts';
import type { AuditSigner } from './audit-signer.ts';
import type { DiskReserve } from './disk-reserve.ts';

/**
 * Every use of a token, every decision and every action, one JSON object per line, in files that only their owner can
 * read. Each line carries the hash of the one before it, over all files, so that a line that was changed, dropped or
 * moved shows. With a signer each line also carries a keyed hash, and checkpoints are signed: then no one without the
 * gateway's key can rewrite the chain. Nothing secret goes in: proofs, credentials and passwords never do, their ids may.
 */
export interface Audit extends AsyncDisposable {
  /**
   * For what admits: resolves when the line is handed to the operating system, rejects with `DAAS_GATEWAY_AUDIT_FAILED`
   * (retryable) when it could not be. Does not use the reserve.
   */
  note(event: string, facts: AuditFacts): Promise<void>;
  /** For what only has to be known: waits, in order, until there is room. Never blocks the caller and never fails. */
  record(event: string, facts: AuditFacts): void;
  /** For what locks out: as `record`, but a full disk gives up its reserve for it. */
  recordLockOut(event: string, facts: AuditFacts): void;
  /** Tries to write what waits. */
  flush(): Promise<void>;
  /** The newest of the lines that are there now, or of later ones, once it survives a loss of power. Rejects with `DAAS_GATEWAY_AUDIT_FAILED` where there is none. */
  settled(): Promise<ChainHead>;
  /** What prevents lines from being written, if anything. */
  failure(): string | undefined;
}

export interface AuditOptions extends Partial<AuditFilesOptions> {
  readonly reserve?: DiskReserve | undefined;
  /** Lines that wait for room at most, those of lock-outs twice as many; further ones are only counted. */
  readonly mostWaiting?: number;
  /** Called for each line, written or not. */
  readonly onEvent?: ((event: string) => void) | undefined;
  /** Without it lines carry no keyed hash, and no checkpoint is written. */
  readonly signer?: AuditSigner | undefined;
  /** Called at the opening when lines are missing at the end: so many that a checkpoint had covered. */
  readonly onLoss?: ((lines: number) => void) | undefined;
  /** Called at the opening with the last line that is there. */
  readonly onOpened?: ((head: ChainHead) => void) | undefined;
  /**
   * Called before each checkpoint: lets the state remember the last line, and resolves with the state's generation.
   * `sync` resolves when that line survives a loss of power.
   */
  readonly anchor?: ((head: ChainHead, sync: () => Promise<void>) => Promise<number | undefined>) | undefined;
}

interface Line extends AuditEntry {
  readonly isLockOut: boolean;
  /** Set for a line that a caller waits for. */
  readonly waiter: { readonly done: () => void; readonly failed: (error: unknown) => void } | undefined;
}

/** Lines for which there was no room. */
interface Dropped {
  readonly count: number;
  readonly fromAt: string;
  readonly toAt: string;
}

interface AuditContext {
  readonly path: string;
  readonly files: AuditFiles;
  readonly reserve: DiskReserve | undefined;
  readonly mostWaiting: number;
  readonly onEvent: ((event: string) => void) | undefined;
  /** The time as lines have it. */
  readonly now: () => string;
  readonly nowMs: () => number;
  readonly signer: AuditSigner | undefined;
  readonly anchor: AuditOptions['anchor'];
  head: ChainHead;
  seal: Seal;
  /** What comes before the next line. */
  opening: string;
  /** The first line of a new file, until it is written. */
  begun: readonly Line[];
  /** Files that it names as removed, and that are still there. */
  surplus: readonly string[];
  waiting: Line[];
  dropped: Dropped;
  writing: Promise<void> | undefined;
  /** Ends with the lines that are being written; others may wait by then. */
  batch: PromiseWithResolvers<void>;
  failure: string | undefined;
  rotationFailure: string | undefined;
}

const nothing: Dropped = { count: 0, fromAt: '', toAt: '' };

/** Opens the file and continues at its end. The rest of a line that a crash cut short stays, and is reported. */
export async function openAudit(
  path: string,
  nowMs: () => number,
  {
    reserve,
    mostWaiting = 5_000,
    maxFileBytes = 64 * 1024 * 1024,
    maxFiles = 15,
    isAnchored = false,
    onEvent,
    signer,
    onLoss,
    onOpened,
    anchor,
  }: AuditOptions = {},
): Promise<Audit> {
  const files = await openAuditFiles(path, { maxFileBytes, maxFiles, isAnchored });
  const { last } = files;
  const audit: AuditContext = {
    path,
    files,
    reserve,
    mostWaiting,
    onEvent,
    now: () => new Date(nowMs()).toISOString(),
    nowMs,
    signer,
    anchor,
    seal: noSeal,
    head: last ? { sequence: last.seq, hash: last.hash } : GENESIS,
    // The newline ends the fragment, so that the next line begins on its own.
    opening: files.isCutShort ? '\n' : '',
    begun: [],
    surplus: [],
    waiting: [],
    dropped: nothing,
    writing: undefined,
    batch: Promise.withResolvers(),
    failure: undefined,
    rotationFailure: undefined,
  };
  const missing = await linesBeyond(path, audit.head.sequence);
  if (missing > 0) onLoss?.(missing);
  onOpened?.(audit.head);
  const opened = { cut_short: files.isCutShort, missing: missing || undefined, key: signer?.publicKey };
  put(audit, lineOf(audit, 'audit.opened', opened));
  await flush(audit);
  return {
    note: (event, facts) => note(audit, event, facts),
    record: (event, facts) => put(audit, lineOf(audit, event, facts)),
    recordLockOut: (event, facts) => put(audit, { ...lineOf(audit, event, facts), isLockOut: true }),
    flush: () => flush(audit),
    settled: () => settled(audit),
    failure: () => audit.failure ?? audit.rotationFailure,
    async [Symbol.asyncDispose]() {
      await flush(audit);
      if (audit.failure === undefined) await trySeal(audit);
      await files[Symbol.asyncDispose]();
    },
  };
}

function lineOf(audit: AuditContext, event: string, facts: AuditFacts): Line {
  audit.onEvent?.(event);
  return { at: audit.now(), event, facts, isLockOut: false, waiter: undefined };
}

function note(audit: AuditContext, event: string, facts: AuditFacts): Promise<void> {
  const { reserve } = audit;
  return new Promise((done, rejected) => {
    if (reserve?.isSpent()) return rejected(failed(audit, new Error(`the disk ${reserve.detail()}`)));
    const waiter = { done, failed: rejected };
    audit.waiting.push({ ...lineOf(audit, event, facts), waiter });
    void write(audit);
  });
}

function put(audit: AuditContext, line: Line): void {
  const { dropped, waiting, mostWaiting } = audit;
  if (waiting.length >= (line.isLockOut ? 2 : 1) * mostWaiting) {
    const { at } = line;
    audit.dropped = { count: dropped.count + 1, fromAt: dropped.fromAt || at, toAt: at };
    return;
  }
  waiting.push(line);
  // On a full disk each line would try in vain; `flush` tries once a second.
  if (audit.failure === undefined || line.isLockOut) void write(audit);
}

async function flush(audit: AuditContext): Promise<void> {
  await audit.writing;
  // Only a write shows whether there is room again: it may as well report the failure.
  if (audit.failure !== undefined && audit.waiting.length === 0)
    audit.waiting.push(lineOf(audit, 'audit.unwritable', { detail: audit.failure }));
  if (audit.waiting.length > 0 || isSealDue(audit.seal, audit.nowMs())) await write(audit);
}

async function settled(audit: AuditContext): Promise<ChainHead> {
  await Promise.race([flush(audit), twoBatches(audit)]);
  // Before the sync: what is appended meanwhile may not be covered by it.
  const { head } = audit;
  try {
    if (head.sequence === 0) throw new Error('no line of it is written yet');
    await audit.files.sync();
  } catch (cause) {
    throw failed(audit, cause);
  }
  return head;
}

/** The lines that are being written now, and those that wait: further ones could come for ever. */
async function twoBatches(audit: AuditContext): Promise<void> {
  await audit.batch.promise;
  await audit.batch.promise;
}

function write(audit: AuditContext): Promise<void> {
  audit.writing ??= drain(audit);
  return audit.writing;
}

async function drain(audit: AuditContext): Promise<void> {
  try {
    let isSealTried = false;
    const isToSeal = () => !isSealTried && isSealDue(audit.seal, audit.nowMs());
    while (audit.waiting.length > 0 || isToSeal()) {
      if (audit.waiting.length === 0) {
        isSealTried = true;
        await trySeal(audit);
        continue;
      }
      const batch = audit.waiting;
      audit.waiting = [];
      const cause = await tryAppend(audit, batch);
      audit.batch.resolve();
      audit.batch = Promise.withResolvers();
      if (cause !== undefined && !putBack(audit, batch, cause)) return;
    }
  } finally {
    // In the same turn in which nothing waits any more: a line right after it would otherwise wait for the next one.
    audit.writing = undefined;
  }
}

/** Resolves with the reason when the lines could not be written. */
async function tryAppend(audit: AuditContext, batch: readonly Line[]): Promise<unknown> {
  try {
    await append(audit, batch);
  } catch (cause) {
    audit.failure = messageOf(cause);
    return cause;
  }
  audit.failure = undefined;
  for (const { waiter } of batch) waiter?.done();
  return undefined;
}

/** All lines or none: the chain continues from what is in the file, and a full disk must not look like a forgery. */
async function append(audit: AuditContext, batch: readonly Line[]): Promise<void> {
  const counted = audit.dropped;
  await rotateIfFull(audit);
  const ended = counted.count > 0 ? [droppedLine(audit, counted)] : [];
  try {
    await appendEntries(audit, [...audit.begun, ...batch, ...ended]);
  } catch (cause) {
    // Their room is what is needed.
    if (isDiskFull(cause)) await removeSurplus(audit);
    throw cause;
  }
  audit.begun = [];
  await removeSurplus(audit);
  audit.dropped =
    audit.dropped === counted ? nothing : { ...audit.dropped, count: audit.dropped.count - counted.count };
}

async function appendEntries(audit: AuditContext, entries: readonly AuditEntry[]): Promise<void> {
  const { signer } = audit;
  const first = audit.head.sequence + 1;
  const { text, head, hashes } = chainLines(audit.head, entries, signer?.mac);
  await audit.files.append(audit.opening + text);
  audit.opening = '';
  audit.head = head;
  if (signer) audit.seal = sealedBy(audit.seal, { first, hashes, nowMs: audit.nowMs() });
}

/** Signs what was written since the last checkpoint. What fails is tried again with the next lines. */
async function trySeal(audit: AuditContext): Promise<void> {
  try {
    await seal(audit);
  } catch (cause) {
    audit.failure = messageOf(cause);
  }
}

async function seal(audit: AuditContext): Promise<void> {
  const { signer, files } = audit;
  if (!signer || audit.seal.hashes.length === 0) return;
  const generation = await audit.anchor?.(audit.head, () => files.sync());
  const { head } = audit;
  const entry = checkpointEntry({ signer, seal: audit.seal, head, at: audit.now(), generation });
  const { text, head: next } = chainLines(head, [entry], signer.mac);
  await files.append(audit.opening + text);
  audit.opening = '';
  audit.head = next;
  audit.seal = noSeal;
  await writeHead(audit.path, text);
}

/** After the line that names them: an anchored line that is in no file, and in none that was removed, prevents a start. */
async function removeSurplus(audit: AuditContext): Promise<void> {
  if (audit.surplus.length === 0) return;
  try {
    await audit.files.remove(audit.surplus);
    audit.surplus = [];
    audit.rotationFailure = undefined;
  } catch (error) {
    // The next line tries again.
    audit.rotationFailure = `earlier files cannot be removed: ${messageOf(error)}`;
  }
}

/** Begins a new file, when one is due. */
async function rotateIfFull(audit: AuditContext): Promise<void> {
  if (!audit.files.isFull()) return;
  try {
    // The file that is set aside ends with a checkpoint.
    await seal(audit);
    const { earlier, surplus } = await audit.files.rotate(audit.head.sequence);
    audit.rotationFailure = undefined;
    const key = audit.signer?.publicKey;
    audit.surplus = surplus;
    audit.begun = [lineOf(audit, ROTATED_EVENT, { earlier, removed: surplus.join(',') || undefined, key })];
  } catch (error) {
    // A file that is too long is better than a line that is not written.
    audit.rotationFailure = `cannot be rotated: ${messageOf(error)}`;
  }
}

function droppedLine(audit: AuditContext, { count, fromAt, toAt }: Dropped): Line {
  return lineOf(audit, 'audit.dropped', { count, from: fromAt, to: toAt });
}

/** Keeps the lines that may wait, in order, and fails those that a caller waits for. Returns whether to try again now. */
function putBack(audit: AuditContext, batch: readonly Line[], cause: unknown): boolean {
  const all = [...batch, ...audit.waiting];
  audit.waiting = all.filter(({ waiter }) => waiter === undefined);
  for (const { waiter } of all) waiter?.failed(failed(audit, cause));
  const isLockedOut = audit.waiting.some(({ isLockOut }) => isLockOut);
  return isDiskFull(cause) && isLockedOut && audit.reserve?.release() === true;
}

function failed({ path }: AuditContext, cause: unknown): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_AUDIT_FAILED',
    `the audit file ${path} cannot be written: check that its disk has room`,
    { cause, isRetryable: true },
  );
}
