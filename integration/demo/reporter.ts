import { displayText, messageOf } from '#base';
import { coloursFor } from '#infrastructure';
import { table, toJson } from '../../src/cli/io.ts';

/** One event of the demo. */
interface DemoEvent {
  readonly event: string;
  readonly worker?: string;
  /** Lets a reader check it. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** For people; without it the event is only in the JSON output. */
  readonly sentence?: string;
}

/** Reports the demo as it runs: text with elapsed times, or JSON lines. */
export interface Reporter {
  readonly isJson: boolean;
  happened(event: DemoEvent): void;
  chapter(title: string): void;
  say(text: string): void;
  closing(rows: ReadonlyArray<readonly string[]>): void;
  failed(error: unknown): void;
  /** When an event was first reported, in ms since the start. */
  atMs(event: string, worker?: string): number | undefined;
}

export function createReporter({ isJson }: { readonly isJson: boolean }): Reporter {
  const startedAtMs = performance.now();
  const colour = coloursFor(process.stdout);
  const times = new Map<string, number>();
  const elapsed = () => Math.round(performance.now() - startedAtMs);
  const clock = () => colour.dim(`${(elapsed() / 1000).toFixed(1).padStart(5)} s`);
  const print = (line: string) => process.stdout.write(`${line}\n`);
  return {
    isJson,
    happened({ event, worker, facts, sentence }) {
      const atMs = elapsed();
      for (const key of [event, `${event} ${worker ?? ''}`]) if (!times.has(key)) times.set(key, atMs);
      if (isJson) print(toJson({ atMs, event, ...(worker ? { worker } : {}), ...facts }));
      else if (sentence) {
        const paint =
          event.includes('slashed') || event.includes('removed') || event.includes('refused')
            ? colour.red
            : colour.green;
        print(
          `${clock()}  ${worker ? colour.bold(displayText(worker).padEnd(9)) : ' '.repeat(9)} ${paint(displayText(sentence))}`,
        );
      }
    },
    chapter(title) {
      if (!isJson) print(`\n${colour.bold(displayText(title))}`);
    },
    say(text) {
      if (!isJson) print(`${clock()}  ${' '.repeat(9)} ${colour.dim(displayText(text))}`);
    },
    closing(rows) {
      if (!isJson) print(`\n${table(rows)}`);
    },
    failed(error) {
      // With its causes: they name what the demo was waiting for.
      if (isJson) print(toJson({ atMs: elapsed(), event: 'demo.failed', message: messageOf(error) }));
      else
        process.stderr.write(
          `\n${coloursFor(process.stderr).red('The demo failed:')} ${displayText(messageOf(error))}\n`,
        );
    },
    atMs: (event, worker) => times.get(worker === undefined ? event : `${event} ${worker}`),
  };
}
