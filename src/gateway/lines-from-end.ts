import { type FileHandle, open } from 'node:fs/promises';
import { createSlice, nextTurn } from '#base';

export interface LinesAsked {
  /** Reads no more than this; all unless given. */
  readonly mostBytes?: number;
  /** Only lines that hold this text. */
  readonly mark?: string;
}

const chunkBytes = 256 * 1024;
/** No line of a gateway is longer. */
const mostLineBytes = 4 * 1024 * 1024;
/** In the place of what is left out of a line: with it none is one of an audit file. */
const tooLong = Buffer.from('\0');

/** The lines of a file, the newest first. */
export async function* linesFromEnd(path: string, asked: LinesAsked = {}): AsyncGenerator<string> {
  await using file = await open(path, 'r');
  yield* linesOf(file, asked);
}

/** The same of a file that is open. What comes after the last line break is a line, too, and may be empty. */
export async function* linesOf(
  file: FileHandle,
  { mostBytes = Number.POSITIVE_INFINITY, mark = '' }: LinesAsked = {},
): AsyncGenerator<string> {
  const { size } = await file.stat();
  const slice = createSlice();
  // The line that the chunk after this one begins within, the last part first.
  let rest: Buffer[] = [];
  for (let end = size; end > Math.max(0, size - mostBytes); ) {
    const start = Math.max(0, end - chunkBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    const chunk = buffer.subarray(0, bytesRead);
    const firstBreak = start === 0 ? -1 : chunk.indexOf('\n');
    // A chunk without a line break lies within one line.
    if (start > 0 && firstBreak === -1)
      rest = rest.length * chunkBytes < mostLineBytes ? [...rest, chunk] : [tooLong];
    else {
      const text = Buffer.concat([chunk.subarray(firstBreak + 1), ...rest.reverse()]);
      rest = [chunk.subarray(0, Math.max(0, firstBreak))];
      // Of most chunks no line is made: a start may read hundreds of MiB for a few lines.
      const lines = text.includes(mark) ? text.toString('utf8').split('\n').reverse() : [];
      for (const line of lines) {
        if (slice.isOver()) await nextTurn();
        if (line.includes(mark)) yield line;
      }
    }
    end = start;
  }
}
