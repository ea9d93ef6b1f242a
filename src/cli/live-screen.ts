import type { ReadStream, WriteStream } from 'node:tty';
import { systemClock } from '#base';

const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearLine = '\u001b[K';
const clearRest = '\u001b[J';

export interface LiveScreenOptions {
  readonly stdout: Pick<WriteStream, 'write' | 'columns' | 'rows'>;
  readonly stdin: Pick<ReadStream, 'on' | 'off' | 'pause' | 'resume'> &
    Partial<Pick<ReadStream, 'setRawMode'>>;
  readonly intervalMs: number;
  /** Aborts to end it. */
  readonly signal: AbortSignal;
}

/** Draws a text again and again on a screen of its own, until `q`, Ctrl-C or the signal. What was on the terminal comes back. */
export async function liveScreen(
  draw: () => Promise<string>,
  { stdout, stdin, intervalMs, signal }: LiveScreenOptions,
): Promise<void> {
  const end = new AbortController();
  const onKey = (bytes: Buffer) => {
    if (['q', 'Q', '\u0003', '\u0004'].includes(bytes.toString('latin1'))) end.abort();
  };
  const onAbort = () => end.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  stdout.write(enter);
  stdin.setRawMode?.(true);
  stdin.on('data', onKey);
  stdin.resume();
  try {
    while (!end.signal.aborted && !signal.aborted) {
      stdout.write(frame(await draw(), stdout));
      await pause(intervalMs, end.signal);
    }
  } finally {
    stdin.off('data', onKey);
    stdin.setRawMode?.(false);
    stdin.pause();
    signal.removeEventListener('abort', onAbort);
    stdout.write(leave);
  }
}

/** The lines that fit: one that is too long would push the others off the screen. */
export function frame(
  text: string,
  { columns = 80, rows = 24 }: { readonly columns?: number; readonly rows?: number },
): string {
  // A terminal without a size says 0.
  const [width, height] = [columns || 80, rows || 24];
  const lines = text.split('\n').slice(0, height - 1);
  return home + lines.map((line) => `${cut(line, width)}${clearLine}\r\n`).join('') + clearRest;
}

/** Control sequences take no room. */
function cut(line: string, columns: number): string {
  let shown = '';
  let room = columns;
  for (const [index, part] of line.split('\u001b').entries()) {
    const [colour = ''] = (index > 0 && /^\[[0-9;]*m/.exec(part)) || [];
    const text = part.slice(colour.length, colour.length + room);
    shown += `${index > 0 ? '\u001b' : ''}${colour}${text}`;
    room -= text.length;
  }
  return shown;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // Leaves no listener behind: the screen is drawn again each second for hours.
  await systemClock.sleep(ms, signal).catch(() => undefined);
}
