import { constants } from 'node:fs';
import { mkdir, open, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readBounded } from '#infrastructure';

/**
 * The folder in which Linux makes reports of confidential guests, from 6.7 (Documentation/ABI/testing/configfs-tsm-report of the
 * kernel). Errors are the operating system's own.
 */
export interface TsmFolder {
  readonly place: string;
  /** Begins a request: the kernel fills the new directory with its attributes. */
  make(name: string): Promise<void>;
  write(name: string, attribute: string, content: Uint8Array): Promise<void>;
  read(name: string, attribute: string): Promise<Buffer>;
  remove(name: string): Promise<void>;
}

const TSM_REPORTS = '/sys/kernel/config/tsm/report';
/** The kernel's own bound is 32 KiB, or 16 MiB in later versions; a table of certificates has some 8 KiB. */
const LONGEST_BYTES = 16 * 1024 * 1024;

export function tsmFolder(place = TSM_REPORTS): TsmFolder {
  return {
    place,
    make: (name) => mkdir(join(place, name)),
    read: (name, attribute) => readBounded(join(place, name, attribute), LONGEST_BYTES),
    remove: (name) => rmdir(join(place, name)),
    async write(name, attribute, content) {
      // An attribute to write has no mode to read, and there is nothing to make or to shorten.
      const file = await open(join(place, name, attribute), constants.O_WRONLY);
      try {
        await file.writeFile(content);
      } finally {
        // The kernel takes the bytes when the file is closed, and says nothing of it: `generation` does.
        await file.close();
      }
    },
  };
}
