import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { DaasError, openTrusted } from '#base';

/**
 * Every use of a token, every decision and every action, one JSON object a line, in a file that only its owner may
 * read. Each line carries the hash of the one before it, so that a line that was changed, dropped or moved shows.
 * Nothing secret goes in: proofs, credentials and passwords never do, their ids may.
 */
export interface Audit extends AsyncDisposable {
  /** Resolves when the line is handed to the operating system; rejects when it could not be. */
  note(event: string, facts: AuditFacts): Promise<void>;
  /** What keeps lines from being written, if anything. */
  failure(): string | undefined;
}
export type AuditFacts = Readonly<Record<string, string | number | boolean | null | undefined>>;

interface AuditLine {
  readonly seq: number;
  readonly at: string;
  readonly event: string;
  readonly prev: string;
  readonly hash: string;
}

interface Waiting {
  readonly at: string;
  readonly event: string;
  readonly facts: AuditFacts;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** What the first line of a file continues. */
const genesis = '0'.repeat(64);

/** Opens the file and goes on where it ends; a line that a crash cut short is moved out of the way and said so. */
export async function openAudit(path: string, nowMs: () => number): Promise<Audit> {
  const file = await openTrusted(
    path,
    { what: 'the audit file', origin: 'gateway.stateDir' },
    constants.O_RDWR | constants.O_APPEND | constants.O_CREAT,
  );
  const { last, cutShort } = await readTail(file);
  let sequence = last?.seq ?? 0;
  let previous = last?.hash ?? genesis;
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;
  let failure: string | undefined;

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await append(batch);
        failure = undefined;
        for (const { done } of batch) done();
      } catch (cause) {
        failure = cause instanceof Error ? cause.message : String(cause);
        const error = new DaasError(
          'DAAS_GATEWAY_AUDIT_FAILED',
          `the audit file ${path} cannot be written: is the disk full?`,
          { cause, isRetryable: true },
        );
        for (const { failed } of batch) failed(error);
      }
    }
  }

  /** All of it or nothing: the chain goes on from what is in the file, and a full disk must not look like a forger. */
  async function append(batch: readonly Waiting[]): Promise<void> {
    let head = { sequence, previous };
    const lines = batch.map(({ at, event, facts }) => {
      const body = { seq: head.sequence + 1, at, event, ...facts, prev: head.previous };
      head = { sequence: body.seq, previous: lineHash(body) };
      return `${JSON.stringify({ ...body, hash: head.previous })}\n`;
    });
    const { size } = await file.stat();
    try {
      await file.appendFile(lines.join(''));
    } catch (error) {
      await file.truncate(size).catch(() => undefined);
      throw error;
    }
    ({ sequence, previous } = head);
  }

  function note(event: string, facts: AuditFacts): Promise<void> {
    const at = new Date(nowMs()).toISOString();
    return new Promise((done, failed) => {
      waiting.push({ at, event, facts, done, failed });
      writing ??= drain().finally(() => {
        writing = undefined;
      });
    });
  }

  // The newline ends the fragment, so that what follows is a line of its own again.
  if (cutShort) await file.appendFile('\n');
  await note('audit.opened', { cut_short: cutShort });
  return {
    note,
    failure: () => failure,
    async [Symbol.asyncDispose]() {
      await writing;
      await file.close();
    },
  };
}

/** SHA-256 over the line without its `hash` member, as it stands in the file. */
export function lineHash(body: Readonly<Record<string, unknown>>): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex');
}

async function readTail(
  file: FileHandle,
): Promise<{ readonly last: AuditLine | undefined; readonly cutShort: boolean }> {
  const { size } = await file.stat();
  if (size === 0) return { last: undefined, cutShort: false };
  const length = Math.min(size, 64 * 1024);
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
  const text = buffer.toString('utf8');
  const lines = text.split('\n').reverse();
  return {
    last: lines.map(parseLine).find((line) => line !== undefined),
    cutShort: lines[0] !== '',
  };
}

function parseLine(text: string): AuditLine | undefined {
  try {
    const line = JSON.parse(text) as AuditLine;
    return typeof line.hash === 'string' && Number.isSafeInteger(line.seq) ? line : undefined;
  } catch {
    return undefined;
  }
}
