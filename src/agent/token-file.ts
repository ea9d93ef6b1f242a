import { constants, lstatSync } from 'node:fs';
import { open, readdir, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigurationError, type Log, Secret } from '#base';
import { isHalfWritten, makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';

/** Magic numbers of file systems that live in memory (statfs(2)). */
const inMemory = new Set([0x01021994, 0x858458f6]);

/** The parts of `K10<CA hash>::<id>.<secret>`. */
export interface FullToken {
  readonly caHash: string;
  readonly credential: Secret;
}

/** Reads a token in k3s' full form with a bootstrap credential. k3s would send anything else as a password. */
export function parseFullToken(token: Secret): FullToken | undefined {
  const match = /^K10([0-9a-f]{64})::([a-z0-9]{6}\.[a-z0-9]{16})$/.exec(token.reveal());
  return match ? { caHash: match[1] as string, credential: new Secret(match[2] as string) } : undefined;
}

/**
 * The token for a start without a credential: k3s needs one that it can parse, checks the server's CA against the hash in it,
 * and then uses its certificates. No server accepts this credential.
 */
export function deadToken(caHash: string): string {
  return `K10${caHash}::000000.0000000000000000`;
}

/** The file behind `--token-file`. It must exist at every start: k3s waits 4 minutes for it and gives up. */
export interface TokenFile {
  readonly path: string;
  write(token: string): Promise<void>;
  /** The content of the file; undefined when there is none (a reboot empties the tmpfs). */
  read(): Promise<Secret | undefined>;
  /** Overwrites and removes it, and what a host left that was killed while it wrote. Idempotent. */
  wipe(): Promise<void>;
}

/** Opens (or makes, 0700) the directory; warns when it is not in memory, because the credential then reaches a disk. */
export async function openTokenFile(path: string, log: Log): Promise<TokenFile> {
  const directory = dirname(path);
  await preparePrivateDirectory(directory);
  const { type } = await statfs(directory);
  if (!inMemory.has(Number(type)))
    log.warn('The runtime directory is not a tmpfs: the join credential will be written to a disk', {
      error: { code: 'DAAS_RUNTIME_DIR_NOT_TMPFS' },
      path: directory,
    });
  return {
    path,
    write: (token) => replaceFile(path, `${token}\n`),
    read: async () => {
      const rules = { what: 'the join token', exposedCode: 'DAAS_JOIN_TOKEN_EXPOSED' } as const;
      const text = await ifThere(() => readTrustedText(path, rules));
      return text === undefined ? undefined : new Secret(text.trim());
    },
    wipe: async () => {
      const halves = (await readdir(directory)).filter(isHalfWritten).map((name) => join(directory, name));
      for (const file of [path, ...halves]) {
        await ifThere(() => overwrite(file));
        await ifThere(() => unlink(file));
      }
    },
  };
}

/** `<runtimeDir>/<node id>`: neither may be a link, because the owner of a link chooses the directory that is changed. */
async function preparePrivateDirectory(directory: string): Promise<void> {
  for (const part of [dirname(directory), directory])
    if (lstatSync(part, { throwIfNoEntry: false })?.isSymbolicLink())
      throw foreign(part, 'is a symbolic link: name the directory itself');
  const rules = { what: 'the runtime directory', origin: 'agent.runtimeDir' };
  makeTrustedDirectory(directory, rules);
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { mode, uid } = await handle.stat();
    if (uid !== process.geteuid?.())
      throw foreign(
        directory,
        `belongs to uid ${uid}, not to us, and its owner could read the join credential`,
      );
    // On the open directory: the path may lead elsewhere by now.
    if ((mode & 0o077) !== 0) await handle.chmod(0o700);
  } finally {
    await handle.close();
  }
}

function foreign(path: string, why: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_RUNTIME_DIR_FOREIGN',
    `the runtime directory ${path} (agent.runtimeDir) ${why}; set agent.runtimeDir to a directory of this user's`,
    { details: { path } },
  );
}

async function overwrite(path: string): Promise<void> {
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size), 0, size, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function ifThere<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
