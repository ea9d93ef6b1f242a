import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';

/** Node writes the cache when it ends, and a host may end by SIGKILL months later. */
const flushAfterMs = 30_000;

/** What is loaded from now on comes compiled from the directory, if that is this user's alone. */
export function compileInto(directory: string): void {
  if (!isOwnDirectory(directory)) return;
  enableCompileCache(directory);
  setTimeout(flushCompileCache, flushAfterMs).unref();
}

/** Makes the directory; false where it is not this user's alone, or cannot be made. */
export function isOwnDirectory(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const status = lstatSync(path);
    return status.isDirectory() && status.uid === process.geteuid?.() && (status.mode & 0o077) === 0;
  } catch {
    return false;
  }
}
