import { constants } from 'node:fs';
import { type FileHandle, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { openTrusted, syncDirectory, type TrustRules } from '#infrastructure';
import { type ParsedLine, parseAuditLine } from './audit-reading.ts';
import { linesOf } from './lines-from-end.ts';

/** The end of the last line: where the chain continues. */
type AuditLine = Pick<ParsedLine, 'seq' | 'hash'>;

export interface AuditFilesOptions {
  /** A file that has reached this size is set aside, and a new one begins. */
  readonly maxFileBytes: number;
  /** How many earlier files are kept; beyond that the oldest are removed. */
  readonly maxFiles: number;
  /** A line that was anchored on chain has to survive a loss of power, also in a file that was set aside. */
  readonly isAnchored?: boolean;
}

/** The first line of a file: names the one before it, and those that are removed. */
export const ROTATED_EVENT = 'audit.rotated';

/** The file that is written, and the earlier ones next to it: `audit-until-<sequence of its last line>.jsonl`. */
export interface AuditFiles extends AsyncDisposable {
  readonly last: AuditLine | undefined;
  /** A crash cut the last line short. */
  readonly isCutShort: boolean;
  /** All of the text or nothing. */
  append(text: string): Promise<void>;
  /** Resolves when all that was appended survives a loss of power. */
  sync(): Promise<void>;
  isFull(): boolean;
  /** Sets the file aside and begins a new one; resolves with its name, and with those beyond the limit. */
  rotate(lastSequence: number): Promise<{ readonly earlier: string; readonly surplus: readonly string[] }>;
  /** Removes earlier files. */
  remove(names: readonly string[]): Promise<void>;
}

export async function openAuditFiles(
  path: string,
  { maxFileBytes, maxFiles, isAnchored = false }: AuditFilesOptions,
): Promise<AuditFiles> {
  let file = await openTrusted(path, rules, writing);
  const tail = await readTail(file);
  let bytes = tail.bytes;
  /** The last attempt may have left a part of its text behind. */
  let hasRest = false;
  const last = tail.last ?? (await lastOfEarlier(path));

  const sync = async () => {
    await file.datasync();
    await syncDirectory(dirname(path));
  };
  return {
    last,
    isCutShort: tail.isCutShort,
    async append(text) {
      // The rest of an earlier, failed attempt would be in the middle of this line.
      if (hasRest && (await file.stat()).size > bytes) await file.truncate(bytes);
      hasRest = true;
      try {
        await file.appendFile(text);
        bytes += Buffer.byteLength(text);
        hasRest = false;
      } catch (error) {
        await file.truncate(bytes).catch(() => undefined);
        throw error;
      }
    },
    sync,
    isFull: () => bytes >= maxFileBytes,
    async rotate(lastSequence) {
      const earlier = `${prefixOf(path)}${String(lastSequence).padStart(12, '0')}.jsonl`;
      // The new file first: otherwise there would be a moment without a file to write to.
      await rm(`${path}.new`, { force: true });
      const next = await openTrusted(`${path}.new`, rules, writing | constants.O_EXCL);
      try {
        // `sync` reaches the file that is written alone.
        if (isAnchored) await file.datasync();
        await rename(path, join(dirname(path), earlier));
        await rename(`${path}.new`, path);
      } catch (error) {
        await next.close();
        throw error;
      }
      await file.close();
      file = next;
      bytes = 0;
      const all = await earlierFiles(path);
      return { earlier, surplus: all.slice(0, Math.max(0, all.length - maxFiles)) };
    },
    async remove(names) {
      if (isAnchored) await sync();
      for (const name of names) await rm(join(dirname(path), name), { force: true });
    },
    async [Symbol.asyncDispose]() {
      await file.close();
    },
  };
}

const rules: TrustRules = { what: 'the audit file', origin: 'gateway.stateDir' };
const writing = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;

const prefixOf = (path: string) => `${basename(path, '.jsonl')}-until-`;

/** Oldest first. */
export async function earlierFiles(path: string): Promise<readonly string[]> {
  const prefix = prefixOf(path);
  const names = await readdir(dirname(path));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+\.jsonl$/.test(name.slice(prefix.length)))
    .sort();
}

/** For a crash between setting a file aside and the end of the first line of the next one. */
async function lastOfEarlier(path: string): Promise<AuditLine | undefined> {
  for (const name of (await earlierFiles(path)).toReversed()) {
    await using file = await openTrusted(join(dirname(path), name), rules);
    const { last } = await readTail(file);
    if (last) return last;
  }
  return undefined;
}

async function readTail(file: FileHandle) {
  const { size: bytes } = await file.stat();
  let end: string | undefined;
  // After a loss of power the end may be zeros.
  for await (const text of linesOf(file)) {
    end ??= text;
    const last = parseAuditLine(text);
    if (last) return { bytes, last, isCutShort: end !== '' };
  }
  return { bytes, last: undefined, isCutShort: (end ?? '') !== '' };
}
