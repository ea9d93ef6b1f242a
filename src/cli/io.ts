import type { Writable } from 'node:stream';
import { DaasError, displayJson, displayLines, displayText, EXIT, messageOf } from '#base';
import { coloursFor } from '#infrastructure';

/**
 * How a command talks: to a human (colour, tables, progress on stderr) or, with `--json`, to a machine (one JSON object
 * a line on stdout, nothing else there).
 */
export interface Io {
  readonly isJson: boolean;
  /** For what goes to stdout, by `result`. */
  readonly colour: ReturnType<typeof coloursFor>;
  /** A finished step of a long task: `✓ published the package  (1.2 s)`. JSON: nothing. */
  step(text: string, detail?: string): void;
  note(text: string): void;
  /** On stderr; JSON: `{"warning": …}`. */
  warn(text: string): void;
  /** The result: `human` lines on stdout, or `json` as one line. Bigints become strings. */
  result(json: Readonly<Record<string, unknown>>, human: string): void;
  /** Asks yes or no; without a terminal it throws `DAAS_CONFIRMATION_NEEDED`, naming `--yes`. */
  confirm(question: string): Promise<boolean>;
}

export interface IoOptions {
  readonly json: boolean;
  readonly stdout?: Writable & { isTTY?: boolean };
  readonly stderr?: Writable & { isTTY?: boolean };
}

export function createIo({ json, stdout = process.stdout, stderr = process.stderr }: IoOptions): Io {
  const progress = coloursFor(stderr);
  const startedAt = performance.now();
  const seconds = () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  return {
    isJson: json,
    colour: coloursFor(stdout),
    step(text, detail) {
      if (!json)
        stderr.write(
          `${progress.green('✓')} ${displayText(text)}${detail ? `  ${progress.cyan(displayText(detail))}` : ''}  ${progress.dim(`(${seconds()})`)}\n`,
        );
    },
    note(text) {
      if (!json) stderr.write(`  ${indented(text)}\n`);
    },
    warn(text) {
      stderr.write(json ? `${toJson({ warning: text })}\n` : `${progress.yellow('!')} ${indented(text)}\n`);
    },
    result(value, human) {
      stdout.write(json ? `${toJson(value)}\n` : `${displayResult(human)}\n`);
    },
    async confirm(question) {
      if (!process.stdin.isTTY || json)
        throw new DaasError(
          'DAAS_CONFIRMATION_NEEDED',
          `${question} This is not a terminal: cannot prompt. Pass --yes to go on, or --dry-run to look first`,
          { exitCode: EXIT.configuration },
        );
      return /^y(es)?$/i.test(await askLine(`${question} [y/N] `));
    },
  };
}

/** One line from the terminal. Ctrl-C and Ctrl-D mean no: `DAAS_NOT_CONFIRMED`. */
export async function askLine(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await prompt.question(displayText(question))).trim();
  } catch (cause) {
    process.stderr.write('\n');
    throw notConfirmed('nothing was done: the question was not answered', cause);
  } finally {
    prompt.close();
  }
}

/** The error of a command that was not confirmed. */
export function notConfirmed(message: string, cause?: unknown): DaasError {
  return new DaasError('DAAS_NOT_CONFIRMED', message, { cause, exitCode: EXIT.unexpected });
}

/** JSON in which a u64 is a string, as Sui's own JSON has it. */
export function toJson(value: unknown): string {
  return displayJson(
    JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner)),
  );
}

/** Every further line begins with two spaces: what others wrote never looks like a line of ours. */
function indented(text: string): string {
  return displayLines(text).replaceAll('\n', '\n  ');
}

/** Results are written in bold and dim: these controls are ours, every other is spelled out. */
const resultColours = ['[1m', '[2m', '[22m'];

function displayResult(human: string): string {
  const [first = '', ...rest] = human.split('\u001b');
  const parts = rest.map((part) => {
    const colour = resultColours.find((code) => part.startsWith(code));
    return colour === undefined
      ? displayLines(`\u001b${part}`)
      : `\u001b${colour}${displayLines(part.slice(colour.length))}`;
  });
  return [displayLines(first), ...parts].join('');
}

/** Columns padded to their widest cell; the first row is the heading. */
export function table(cells: ReadonlyArray<readonly string[]>): string {
  const rows = cells.map((row) => row.map(displayText));
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - cell.length))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Prints what went wrong (code, sentence, where it is explained) and returns the exit code. */
export function reportError(
  error: unknown,
  json: boolean,
  stderr: Writable & { isTTY?: boolean } = process.stderr,
): number {
  const code = error instanceof DaasError ? error.code : 'DAAS_UNEXPECTED';
  if (json) {
    const details = error instanceof DaasError ? error.details : {};
    stderr.write(`${toJson({ error: { code, message: messageOf(error), details } })}\n`);
  } else {
    const { red, dim } = coloursFor(stderr);
    stderr.write(`${red('✗')} ${indented(messageOf(error))}\n  ${dim(`${code}: see docs/errors.md`)}\n`);
    if (!(error instanceof DaasError) && error instanceof Error && error.stack)
      stderr.write(`  ${indented(error.stack)}\n`);
  }
  return error instanceof DaasError ? error.exitCode : EXIT.unexpected;
}
