import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigurationError, createMutex, DaasError, type Journal } from '#base';
import { syncDirectory } from './sync-directory.ts';
import { makeTrustedDirectory, readTrustedText } from './trusted-file.ts';
import { writeFailure } from './write-failure.ts';

interface Entry {
  readonly value: unknown;
}

/** Opens (or begins) the journal file; its directory is made with mode 0700, the file has 0600. */
export async function openJournal(path: string): Promise<Journal> {
  makeTrustedDirectory(dirname(path), { what: 'the state directory' });
  // Boxed, so that a value is told from an equal one that was written later.
  const state = new Map<string, Entry>(
    Object.entries(await readDocument(path)).map(([key, value]) => [key, { value }]),
  );
  let durable = new Map(state);
  // Two renames in flight could land in the wrong order.
  const exclusive = createMutex();

  function save(): Promise<void> {
    return exclusive(async () => {
      const written = new Map(state);
      const document = Object.fromEntries([...written].map(([key, { value }]) => [key, value]));
      await replaceFile(path, JSON.stringify(document, null, 2));
      durable = written;
    });
  }

  /** A change that could not be made durable is undone: a reader would act on it, and the next crash would lose it. */
  async function change(key: string, entry: Entry | undefined): Promise<void> {
    if (entry) state.set(key, entry);
    else state.delete(key);
    try {
      await save();
    } catch (error) {
      const before = durable.get(key);
      if (state.get(key) === entry && before) state.set(key, before);
      else if (state.get(key) === entry) state.delete(key);
      throw error;
    }
  }

  return viewOf(state, change, '');
}

/** The journal file as it is now; what is written to the result stays in memory. Nothing is made. */
export async function readJournal(path: string): Promise<Journal> {
  const state = new Map<string, Entry>(
    Object.entries(await readDocument(path)).map(([key, value]) => [key, { value }]),
  );
  return viewOf(
    state,
    async (key, entry) => {
      if (entry) state.set(key, entry);
      else state.delete(key);
    },
    '',
  );
}

function viewOf(
  state: ReadonlyMap<string, Entry>,
  change: (key: string, entry: Entry | undefined) => Promise<void>,
  prefix: string,
): Journal {
  return {
    read: (key) => structuredClone(state.get(prefix + key)?.value),
    keys: () =>
      [...state.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    write: (key, value) => change(prefix + key, { value: structuredClone(value) }),
    remove: (key) => (state.has(prefix + key) ? change(prefix + key, undefined) : Promise.resolve()),
    section: (name) => viewOf(state, change, `${prefix}${name}/`),
  };
}

async function readDocument(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readTrustedText(path, { what: 'the journal' });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new DaasError(
      'DAAS_JOURNAL_UNREADABLE',
      `the journal ${path} cannot be read: check its owner and mode`,
      {
        cause,
      },
    );
  }
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === 'object' && document !== null && !Array.isArray(document))
      return document as Record<string, unknown>;
    throw new Error('not a JSON object');
  } catch (cause) {
    // Starting afresh would forget that money was sent: a human must look.
    throw new ConfigurationError(
      'DAAS_JOURNAL_DAMAGED',
      `the journal ${path} is damaged: restore it from a backup, or move it away after checking on chain that no stake of this node is in it`,
      { cause },
    );
  }
}

/** Whether a name is that of a file `replaceFile` was killed over. */
export function isHalfWritten(name: string): boolean {
  return /^\.[0-9a-f]{16}\.tmp$/.test(name);
}

/**
 * Replaces a file atomically and durably: temporary file, sync, rename, sync of the directory. A failure leaves the old
 * file and nothing else: a full disk must not fill with halves of what may be secrets.
 * @throws `DAAS_DISK_FULL`, `DAAS_FILE_UNWRITABLE`.
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  try {
    await replace(path, content, mode);
  } catch (cause) {
    throw writeFailure(path, cause);
  }
}

async function replace(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${randomBytes(8).toString('hex')}.tmp`);
  const file = await open(temporary, 'wx', mode);
  try {
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDirectory(directory);
}
