import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/**
 * Opens a file whose content counts by its signatures, whoever wrote it. A named pipe does not hold the program, and a device is
 * refused; `flags` are further ones, such as O_NOFOLLOW. What the caller's shell has opened (`/dev/stdin`, `<(command)`) is read as it is.
 * @throws what the operating system says, and an Error for what is no regular file
 */
export async function openRegular(path: string, flags = 0): Promise<FileHandle> {
  if (/^\/dev\/(?:stdin|fd\/\d+)$|^\/proc\/self\/fd\/\d+$/.test(path)) return open(path);
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);
  try {
    if ((await file.stat()).isFile()) return file;
    throw new Error('it is no regular file');
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads such a file, of at most `longestBytes`. @throws as `openRegular`, and an Error for a longer file */
export async function readBounded(path: string, longestBytes: number, flags = 0): Promise<Buffer> {
  const file = await openRegular(path, flags);
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(65_536), position: null });
      if (bytesRead === 0) return Buffer.concat(chunks);
      length += bytesRead;
      if (length > longestBytes) throw new Error(`it is longer than ${longestBytes} bytes`);
      chunks.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
