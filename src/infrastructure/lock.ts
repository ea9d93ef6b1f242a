import { randomBytes } from 'node:crypto';
import { link, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DaasError, EXIT, systemClock } from '#base';
import { isAlive, type ProcessIdentity, parseProcessIdentity, processIdentity } from './process-identity.ts';
import { makeTrustedDirectory, readTrustedText } from './trusted-file.ts';
import { isDiskFull, writeFailure } from './write-failure.ts';

/** Held until it is disposed of; `kill -9` leaves the file behind, and the next one takes it over. */
export interface Lock extends AsyncDisposable {
  readonly path: string;
}

/**
 * Refuses a second process: `path` names the one that holds it by pid and start time. The lock of a process that is gone
 * is taken over, that of a living one (this process included) throws `DAAS_LOCK_HELD`. `what` is what the sentence says
 * is in use: `the state directory /var/lib/k3s-daas`.
 */
export async function acquireLock(path: string, what: string): Promise<Lock> {
  const self = await processIdentity(process.pid);
  if (!self) throw new DaasError('DAAS_PROC_UNREADABLE', '/proc/self cannot be read: is /proc mounted?');
  makeTrustedDirectory(dirname(path), { what: 'the directory of the lock' });
  const own = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(own, JSON.stringify(self), { mode: 0o600, flag: 'wx' }).catch((cause: unknown) => {
    throw isDiskFull(cause) ? writeFailure(own, cause) : cause;
  });
  try {
    // Each round either takes the lock, finds a living holder, or removes one dead holder.
    for (;;) {
      if (await tookIt(own, path)) return heldLock(path, self);
      const holder = await holderOf(path);
      if (holder.identity && (await isAlive(holder.identity))) throw heldBy(holder.identity, path, what);
      if (holder.text !== undefined) await removeStale(path, holder.text, own);
    }
  } finally {
    await unlink(own).catch(() => undefined);
  }
}

/** A hard link appears with its content already in it: a half-written lock cannot be read. */
async function tookIt(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function holderOf(
  path: string,
): Promise<{ readonly text: string | undefined; readonly identity: ProcessIdentity | undefined }> {
  try {
    const text = await readTrustedText(path, { what: 'the lock' });
    try {
      return { text, identity: parseProcessIdentity(JSON.parse(text)) };
    } catch {
      return { text, identity: undefined };
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { text: undefined, identity: undefined };
    throw error;
  }
}

/**
 * Several processes may find the same dead holder, and one may have taken the lock by the time the next one acts. So only the
 * process that holds the guard removes the lock, after it has read it again.
 */
async function removeStale(path: string, staleText: string, own: string): Promise<void> {
  const guard = `${path}.guard`;
  if (!(await tookIt(own, guard))) {
    const { text, identity } = await holderOf(guard);
    // A guard is held for these few lines only: its holder is dead.
    if (text !== undefined && !(identity && (await isAlive(identity)))) await remove(guard);
    else await systemClock.sleep(2);
    return;
  }
  try {
    if ((await holderOf(path)).text === staleText) await remove(path);
  } finally {
    await remove(guard);
  }
}

async function remove(path: string): Promise<void> {
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

function heldBy(holder: ProcessIdentity, path: string, what: string): DaasError {
  return new DaasError(
    'DAAS_LOCK_HELD',
    `${what} is in use by process ${holder.pid} (${path}): stop that one first, or use another directory`,
    // It may be about to end: a service manager tries again.
    { exitCode: EXIT.joinDeadline, details: { pid: holder.pid, path } },
  );
}

function heldLock(path: string, self: ProcessIdentity): Lock {
  return {
    path,
    async [Symbol.asyncDispose]() {
      const { identity } = await holderOf(path);
      if (identity?.pid === self.pid && identity.startTicks === self.startTicks) await unlink(path);
    },
  };
}
