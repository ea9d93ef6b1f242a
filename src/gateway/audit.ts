import { createHash } from 'node:crypto';
import { DaasError, messageOf } from '#base';
import { type AuditFilesOptions, openAuditFiles } from './audit-files.ts';
import { type DiskReserve, isDiskFull } from './disk-reserve.ts';

/**
 * Every use of a token, every decision and every action, one JSON object a line, in files that only their owner may
 * read. Each line carries the hash of the one before it, over all files, so that a line that was changed, dropped or
 * moved shows. Nothing secret goes in: proofs, credentials and passwords never do, their ids may.
 */
export interface Audit extends AsyncDisposable {
  /**
   * For what lets somebody in: resolves when the line is handed to the operating system, rejects when it could not be.
   * The reserve is not used for it.
   */
  note(event: string, facts: AuditFacts): Promise<void>;
  /** For what only has to be known: waits, in order, until there is room. Costs the caller nothing and never fails. */
  record(event: string, facts: AuditFacts): void;
  /** For what locks out: as `record`, but a full disk gives up its reserve for it. */
  recordLockOut(event: string, facts: AuditFacts): void;
  /** Tries to write what waits. */
  flush(): Promise<void>;
  /** What keeps lines from being written, if anything. */
  failure(): string | undefined;
}
export type AuditFacts = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface AuditOptions extends Partial<AuditFilesOptions> {
  readonly reserve?: DiskReserve | undefined;
  /** Lines that wait for room at most, those of lock-outs twice as many; what is more is counted instead. */
  readonly mostWaiting?: number;
}

interface Line {
  readonly at: string;
  readonly event: string;
  readonly facts: AuditFacts;
  readonly isLockOut: boolean;
  /** Set for a line that somebody waits for. */
  readonly waiter: { readonly done: () => void; readonly failed: (error: unknown) => void } | undefined;
}

/** What the first line of all continues. */
const genesis = '0'.repeat(64);

/** Opens the file and goes on where it ends; a line that a crash cut short is moved out of the way and said so. */
export async function openAudit(
  path: string,
  nowMs: () => number,
  { reserve, mostWaiting = 5_000, maxFileBytes = 64 * 1024 * 1024, maxFiles = 15 }: AuditOptions = {},
): Promise<Audit> {
  const files = await openAuditFiles(path, { maxFileBytes, maxFiles });
  let sequence = files.last?.seq ?? 0;
  let previous = files.last?.hash ?? genesis;
  // The newline ends the fragment, so that what follows is a line of its own again.
  let opening = files.isCutShort ? '\n' : '';
  let waiting: Line[] = [];
  let dropped = { count: 0, fromAt: '', toAt: '' };
  let writing: Promise<void> | undefined;
  let failure: string | undefined;
  let rotationFailure: string | undefined;

  async function drain(): Promise<void> {
    try {
      while (waiting.length > 0) {
        const batch = waiting;
        waiting = [];
        const cause = await tryAppend(batch);
        if (cause !== undefined && !putBack(batch, cause)) return;
      }
    } finally {
      // In the same turn in which nothing waits any more: a line that comes right after it would wait for the next one.
      writing = undefined;
    }
  }

  /** Returns why it could not. */
  async function tryAppend(batch: readonly Line[]): Promise<unknown> {
    try {
      await append(batch);
    } catch (cause) {
      failure = messageOf(cause);
      return cause;
    }
    failure = undefined;
    for (const { waiter } of batch) waiter?.done();
    return undefined;
  }

  /** What may wait stays, before what has come meanwhile; what may not is refused. Returns whether to try again now. */
  function putBack(batch: readonly Line[], cause: unknown): boolean {
    const all = [...batch, ...waiting];
    waiting = all.filter(({ waiter }) => waiter === undefined);
    refuse(all, cause);
    return isDiskFull(cause) && waiting.some(({ isLockOut }) => isLockOut) && reserve?.release() === true;
  }

  function refuse(lines: readonly Line[], cause: unknown): void {
    for (const { waiter } of lines) waiter?.failed(failed(cause));
  }

  function failed(cause: unknown): DaasError {
    return new DaasError(
      'DAAS_GATEWAY_AUDIT_FAILED',
      `the audit file ${path} cannot be written: is the disk full?`,
      { cause, isRetryable: true },
    );
  }

  /** All of it or nothing: the chain goes on from what is in the file, and a full disk must not look like a forger. */
  async function append(batch: readonly Line[]): Promise<void> {
    const counted = dropped;
    const lines = [...(await begun()), ...batch, ...(counted.count > 0 ? [droppedLine(counted)] : [])];
    let head = { sequence, previous };
    const texts = lines.map(({ at, event, facts }) => {
      const body = { seq: head.sequence + 1, at, event, ...facts, prev: head.previous };
      head = { sequence: body.seq, previous: lineHash(body) };
      return `${JSON.stringify({ ...body, hash: head.previous })}\n`;
    });
    await files.append(opening + texts.join(''));
    opening = '';
    ({ sequence, previous } = head);
    if (dropped === counted) dropped = { count: 0, fromAt: '', toAt: '' };
    else dropped = { ...dropped, count: dropped.count - counted.count };
  }

  /** The first line of a new file, when one is due: it names the file before it. */
  async function begun(): Promise<readonly Line[]> {
    if (!files.isFull()) return [];
    try {
      const { earlier, removed } = await files.rotate(sequence);
      rotationFailure = undefined;
      return [line('audit.rotated', { earlier, removed: removed.join(',') || undefined })];
    } catch (error) {
      // A file that is too long is better than a line that is not written.
      rotationFailure = `cannot be rotated: ${messageOf(error)}`;
      return [];
    }
  }

  function droppedLine({ count, fromAt, toAt }: typeof dropped): Line {
    return line('audit.dropped', { count, from: fromAt, to: toAt });
  }

  function line(event: string, facts: AuditFacts, more: Partial<Line> = {}): Line {
    return { at: now(), event, facts, isLockOut: false, waiter: undefined, ...more };
  }
  const now = () => new Date(nowMs()).toISOString();

  function write(): Promise<void> {
    writing ??= drain();
    return writing;
  }

  function put(event: string, facts: AuditFacts, isLockOut: boolean): void {
    if (waiting.length >= (isLockOut ? 2 : 1) * mostWaiting) {
      const at = now();
      dropped = { count: dropped.count + 1, fromAt: dropped.fromAt || at, toAt: at };
      return;
    }
    waiting.push(line(event, facts, { isLockOut }));
    // On a full disk each line would try in vain; `flush` does so once a second.
    if (failure === undefined || isLockOut) void write();
  }

  async function flush(): Promise<void> {
    await writing;
    // Whether there is room again shows only when something is written: why not the reason itself.
    if (failure !== undefined && waiting.length === 0)
      waiting.push(line('audit.unwritable', { detail: failure }));
    if (waiting.length > 0) await write();
  }

  put('audit.opened', { cut_short: files.isCutShort }, false);
  await flush();
  return {
    note: (event, facts) =>
      new Promise((done, rejected) => {
        if (reserve?.isSpent()) return rejected(failed(new Error(`the disk ${reserve.detail()}`)));
        waiting.push(line(event, facts, { waiter: { done, failed: rejected } }));
        void write();
      }),
    record: (event, facts) => put(event, facts, false),
    recordLockOut: (event, facts) => put(event, facts, true),
    flush,
    failure: () => failure ?? rotationFailure,
    async [Symbol.asyncDispose]() {
      await flush();
      await files[Symbol.asyncDispose]();
    },
  };
}

/** SHA-256 over the line without its `hash` member, as it stands in the file. */
export function lineHash(body: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex');
}
