import { constants } from 'node:fs';
import { type FileHandle, readdir, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { openTrusted, syncDirectory, type TrustRules } from '#infrastructure';
import { type ParsedLine, parseAuditLine } from './audit-reading.ts';

/** The end of the last line: where the chain continues. */
type AuditLine = Pick<ParsedLine, 'seq' | 'hash'>;

export interface AuditFilesOptions {
  /** A file that has reached this size is set aside, and a new one begins. */
  readonly maxFileBytes: number;
  /** How many earlier files are kept; beyond that the oldest are removed. */
  readonly maxFiles: number;
}

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
  /** Sets the file aside, begins a new one, and removes the oldest beyond the limit; resolves with the names. */
  rotate(lastSequence: number): Promise<{ readonly earlier: string; readonly removed: readonly string[] }>;
}

export async function openAuditFiles(
  path: string,
  { maxFileBytes, maxFiles }: AuditFilesOptions,
): Promise<AuditFiles> {
  let file = await openTrusted(path, rules, writing);
  const tail = await readTail(file);
  let bytes = tail.bytes;
  /** The last attempt may have left a part of its text behind. */
  let hasRest = false;
  const last = tail.last ?? (bytes === 0 ? await lastOfEarlier(path) : undefined);

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
    async sync() {
      await file.datasync();
      await syncDirectory(dirname(path));
    },
    isFull: () => bytes >= maxFileBytes,
    async rotate(lastSequence) {
      const earlier = `${prefixOf(path)}${String(lastSequence).padStart(12, '0')}.jsonl`;
      // The new file first: otherwise there would be a moment without a file to write to.
      await rm(`${path}.new`, { force: true });
      const next = await openTrusted(`${path}.new`, rules, writing | constants.O_EXCL);
      try {
        // `sync` reaches the file that is written alone.
        await file.datasync();
        await rename(path, join(dirname(path), earlier));
        await rename(`${path}.new`, path);
      } catch (error) {
        await next.close();
        throw error;
      }
      await file.close();
      file = next;
      bytes = 0;
      return { earlier, removed: await removeOldest(path, maxFiles) };
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
async function earlierFiles(path: string): Promise<readonly string[]> {
  const prefix = prefixOf(path);
  const names = await readdir(dirname(path));
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+\.jsonl$/.test(name.slice(prefix.length)))
    .sort();
}

async function removeOldest(path: string, maxFiles: number): Promise<readonly string[]> {
  const all = await earlierFiles(path);
  const surplus = all.slice(0, Math.max(0, all.length - maxFiles));
  for (const name of surplus) await unlink(join(dirname(path), name));
  return surplus;
}

/** For a crash between setting a file aside and the first line of the next one. */
async function lastOfEarlier(path: string): Promise<AuditLine | undefined> {
  const newest = (await earlierFiles(path)).at(-1);
  if (newest === undefined) return undefined;
  await using file = await openTrusted(join(dirname(path), newest), rules);
  return (await readTail(file)).last;
}

async function readTail(file: FileHandle) {
  const { size } = await file.stat();
  if (size === 0) return { bytes: 0, last: undefined, isCutShort: false };
  const length = Math.min(size, 64 * 1024);
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
  const lines = buffer.toString('utf8').split('\n').reverse();
  return {
    bytes: size,
    last: lines.map(parseAuditLine).find((line) => line !== undefined),
    isCutShort: lines[0] !== '',
  };
}
