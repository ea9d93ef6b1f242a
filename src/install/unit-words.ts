import type { ServiceManager } from './facts.ts';

/** The words of `ExecStart=` as systemd reads them (systemd.service(5), "Command lines"), in both directions. */

/** One word for a unit file: specifiers and variables are not expanded in it. */
export function quoteWord(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  if (escaped !== '' && /^[^\s"'\\;]+$/.test(escaped)) return escaped;
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

/** The command that a unit runs, or `undefined`; the last `ExecStart=` counts, continued lines are joined. */
export function commandOf(unit: string): readonly string[] | undefined {
  const lines = unit.replaceAll(/\\\r?\n[ \t]*/g, ' ').split('\n');
  const command = lines.findLast((line) => /^\s*ExecStart\s*=/.test(line));
  return command === undefined ? undefined : splitWords(command.replace(/^\s*ExecStart\s*=\s*[-@:+!]*/, ''));
}

/** The command of a unit of systemd, or of a script of OpenRC. */
export function unitCommand(text: string, manager: ServiceManager['kind']): readonly string[] | undefined {
  return manager === 'systemd' ? commandOf(text) : openrcCommand(text);
}

/** Whether a service runs this program. Plain k3s has the same unit name. */
export function isOurs(command: readonly string[] | undefined): boolean {
  return command?.[0]?.endsWith('/k3s-daas') === true;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', s: ' ' };

/** A text of words with quotes and escapes. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === '\\') {
      at += 1;
      const next = text[at] ?? '';
      word = `${word ?? ''}${escapes[next] ?? next}`;
    } else if (quote !== '') {
      if (character === quote) quote = '';
      else word = `${word ?? ''}${character}`;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = `${word ?? ''}${character}`;
  }
  if (word !== undefined) words.push(word);
  return words.map((one) => one.replaceAll('%%', '%').replaceAll('$$', '$'));
}

/** As k3s' installer writes it (`command_args="agent … >>/var/log/k3s-agent.log 2>&1"`), and as ours does. */
function openrcCommand(script: string): readonly string[] | undefined {
  const assigned = (name: string) => {
    const form = new RegExp(`^${name}=(?:"((?:[^"\\\\]|\\\\[\\s\\S])*)"|('(?:[^']|'\\\\'')*')|(\\S*))`, 'm');
    const [, double, single, plain] = form.exec(script) ?? [];
    return double ?? (single === undefined ? plain : splitWords(single)[0]);
  };
  const program = assigned('command');
  const words = (assigned('command_args') ?? '').replace(/>>[\s\S]*$/, '').replaceAll(/\\\n/g, ' ');
  return program === undefined ? undefined : [program, ...splitWords(words)];
}
