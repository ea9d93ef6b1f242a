import { closeSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** More than most of these files have. */
const usualBytes = 2_048;

/**
 * The text of a file that the kernel makes when it is read, as those of /proc and cgroups. They have no size, so that `readFile`
 * takes 64 KiB for each: read again and again, that is what calls the garbage collector.
 */
export async function readKernelFile(path: string): Promise<string> {
  const file = await open(path);
  try {
    let buffer = Buffer.allocUnsafe(usualBytes);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) return buffer.toString('utf8', 0, length);
      length += bytesRead;
      if (length === buffer.length) buffer = Buffer.concat([buffer], 2 * length);
    }
  } finally {
    await file.close();
  }
}

/**
 * The same, for files that the kernel has at hand, such as /proc/stat and the limits of a cgroup: a few microseconds, where a thread
 * that is asked costs a hundred. Not for what waits for a lock of another process (/proc/PID/cmdline) or adds up a whole tree
 * (memory.stat).
 */
export function readKernelFileNow(path: string): string {
  const file = openSync(path, 'r');
  try {
    let buffer = Buffer.allocUnsafe(usualBytes);
    let length = 0;
    for (;;) {
      const bytesRead = readSync(file, buffer, length, buffer.length - length, null);
      if (bytesRead === 0) return buffer.toString('utf8', 0, length);
      length += bytesRead;
      if (length === buffer.length) buffer = Buffer.concat([buffer], 2 * length);
    }
  } finally {
    closeSync(file);
  }
}
