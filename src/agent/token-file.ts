import { chmod, mkdir, open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigurationError, isHalfWritten, type Log, replaceFile, Secret } from '#base';

/** Magic numbers of file systems that live in memory (statfs(2)). */
const inMemory = new Set([0x01021994, 0x858458f6]);

/** `K10<CA hash>::<id>.<secret>`, taken apart. */
export interface FullToken {
  readonly caHash: string;
  readonly credential: Secret;
}

/** Reads a token in k3s' full form with a bootstrap credential; anything else k3s would send as a password. */
export function parseFullToken(token: Secret): FullToken | undefined {
  const match = /^K10([0-9a-f]{64})::([a-z0-9]{6}\.[a-z0-9]{16})$/.exec(token.reveal());
  return match ? { caHash: match[1] as string, credential: new Secret(match[2] as string) } : undefined;
}

/**
 * What k3s is given when there is no credential: it insists on a token that it can parse, checks the server's CA by the
 * hash in it, and then shows its certificates. This credential belongs to nobody.
 */
export function deadToken(caHash: string): string {
  return `K10${caHash}::000000.0000000000000000`;
}

/** The file behind `--token-file`. It must be there at every start of k3s, which waits 4 minutes for it and gives up. */
export interface TokenFile {
  readonly path: string;
  write(token: string): Promise<void>;
  /** The file as it is, undefined when there is none (a reboot takes the tmpfs with it). */
  read(): Promise<Secret | undefined>;
  /** Overwrites and removes it, and what a host that was killed while it wrote left of it. Idempotent. */
  wipe(): Promise<void>;
}

/** Opens (and makes, 0700) the directory; says so when it is not in memory: the credential would then reach a disk. */
export async function openTokenFile(path: string, log: Log): Promise<TokenFile> {
  const directory = dirname(path);
  await preparePrivateDirectory(directory);
  const { type } = await statfs(directory);
  if (!inMemory.has(Number(type)))
    log.warn('The runtime directory is not a tmpfs: the join credential will be written to a disk', {
      code: 'DAAS_RUNTIME_DIR_NOT_TMPFS',
      directory,
    });
  return {
    path,
    write: (token) => replaceFile(path, `${token}\n`),
    read: async () => {
      const text = await ifThere(() => readFile(path, 'utf8'));
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

async function preparePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode, uid } = await stat(directory);
  if (uid !== process.getuid?.())
    throw new ConfigurationError(
      'DAAS_RUNTIME_DIR_FOREIGN',
      `the runtime directory ${directory} belongs to uid ${uid}, not to us: whoever owns it could read the join credential; set agent.runtimeDir to another`,
    );
  if ((mode & 0o077) !== 0) await chmod(directory, 0o700);
}

async function overwrite(path: string): Promise<void> {
  const file = await open(path, 'r+');
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
