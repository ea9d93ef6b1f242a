// Small wrong changes to Move sources, one at a time: what a good test suite must notice.
import { basename } from 'node:path';

/** One change to one file. */
export interface Mutant {
  /** Names the mutant without line numbers: `module::function: line → changed line`. */
  readonly id: string;
  readonly module: string;
  readonly path: string;
  readonly line: number;
  readonly source: string;
}

interface Change {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

/** What a comparison is turned into: its opposite, and its neighbour that differs at the boundary alone. */
const COMPARISONS: Record<string, readonly string[]> = {
  '<': ['>=', '<='],
  '<=': ['>', '<'],
  '>': ['<=', '>='],
  '>=': ['<', '>'],
  '==': ['!='],
  '!=': ['=='],
};

/** All mutants of a Move source file. */
export function mutantsOf(path: string, source: string): Mutant[] {
  const code = withoutCommentsAndStrings(source);
  const changes = [
    ...assertions(code),
    ...comparisons(code),
    ...connectives(code),
    ...negations(code),
    ...conditions(code),
    ...arithmetic(code),
    ...constants(code),
    ...statements(code),
  ].sort((a, b) => a.at - b.at || a.text.localeCompare(b.text));
  const seen = new Map<string, number>();
  const module = basename(path, '.move');
  return changes.map((change) => {
    const mutated = source.slice(0, change.at) + change.text + source.slice(change.at + change.length);
    const before = statementAt(source, change.at, change.at + change.length);
    const after = statementAt(mutated, change.at, change.at + change.text.length);
    const place = /.*\bfun\s+(\w+)/s.exec(code.slice(0, change.at))?.[1] ?? '';
    const plain = `${module}${place && `::${place}`}: ${before} → ${after}`;
    const count = (seen.get(plain) ?? 0) + 1;
    seen.set(plain, count);
    return {
      id: count === 1 ? plain : `${plain} (${count})`,
      module,
      path,
      line: source.slice(0, change.at).split('\n').length,
      source: mutated,
    };
  });
}

/** `assert!(condition, error)` → `assert!(true, error)`, and calls of our own assertions → nothing. */
function* assertions(code: string): Generator<Change> {
  for (const match of code.matchAll(/\bassert!\(/g)) {
    const from = match.index + match[0].length;
    yield { at: from, length: endOfArgument(code, from) - from, text: 'true' };
  }
  for (const match of code.matchAll(/^[ \t]*(?:\w+\.)?assert_\w+\([^;{]*\);/gm)) {
    const skipped = match[0].length - match[0].trimStart().length;
    yield { at: match.index + skipped, length: match[0].length - skipped, text: '' };
  }
}

function* comparisons(code: string): Generator<Change> {
  // A comparison has a blank on both sides; a type argument has none.
  for (const match of code.matchAll(/(?<= )(<=|>=|==|!=|<|>)(?=\s)/g)) {
    for (const text of COMPARISONS[match[0]] ?? []) yield { at: match.index, length: match[0].length, text };
  }
}

function* connectives(code: string): Generator<Change> {
  for (const match of code.matchAll(/&&|\|\|/g)) {
    yield { at: match.index, length: 2, text: match[0] === '&&' ? '||' : '&&' };
  }
}

function* negations(code: string): Generator<Change> {
  for (const match of code.matchAll(/(?<=[\s(])!(?=[a-z])/g)) yield { at: match.index, length: 1, text: '' };
}

/** Conditions that are one call or variable, always and never true. Comparisons have changes of their own. */
function* conditions(code: string): Generator<Change> {
  for (const match of code.matchAll(/\bif \(/g)) {
    const at = match.index + match[0].length;
    const length = endOfArgument(code, at) - at;
    if (/ (?:<=|>=|==|!=|<|>|&&|\|\|)\s/.test(code.slice(at, at + length))) continue;
    for (const text of ['true', 'false']) yield { at, length, text };
  }
}

function* arithmetic(code: string): Generator<Change> {
  const opposite: Record<string, string> = { '+': '-', '-': '+', '/': '*' };
  for (const match of code.matchAll(/(?<=[\w)] )[-+/](?= \w)/g)) {
    const line = code.slice(code.lastIndexOf('\n', match.index) + 1, match.index + 4);
    // A step of a loop the other way only hangs.
    if (/\b(\w+) = \1 [+-] 1/.test(line)) continue;
    yield { at: match.index, length: 1, text: opposite[match[0]] ?? '' };
  }
}

/** Every bound, one more and one less. */
function* constants(code: string): Generator<Change> {
  for (const match of code.matchAll(/const \w+: u(?:8|64) = ([\d_]+);/g)) {
    const at = match.index + match[0].indexOf('= ') + 2;
    const value = BigInt(match[1]?.replaceAll('_', '') ?? '0');
    const length = match[1]?.length ?? 0;
    yield { at, length, text: String(value + 1n) };
    if (value > 0n) yield { at, length, text: String(value - 1n) };
  }
}

/**
 * Assignments to fields, calls that are statements, and events: left out. (Transfers are not among them: without one, an object
 * that must not be dropped is left, and that does not compile.)
 */
function* statements(code: string): Generator<Change> {
  const assignment = /^[ \t]+(\*?\w+(?:\.\w+|\[\w+\])* =\s[^;]*;)/gm;
  const call =
    /^[ \t]+((?:\w+\.)+(?:note\w*|push_back|remove|add|claim\w*|release\w*|add_proposal|remove_proposal|unbind_token|append)\([^;{]*\);)/gm;
  const event = /^[ \t]+(event::emit\([^;]*\);)/gm;
  const settle = /^[ \t]+((?:settle|remove_proposal|unbind_token|end_activity)\([^;{]*\);)/gm;
  for (const pattern of [assignment, call, event, settle]) {
    for (const match of code.matchAll(pattern)) {
      const text = match[1] ?? '';
      // Without its step a loop only hangs; a first value is needed to compile.
      if (/^(\w+) = \1 [+-] 1;$/.test(text) || text.startsWith('let ')) continue;
      yield { at: match.index + match[0].length - text.length, length: text.length, text: '' };
    }
  }
}

/** The same text, with comments and strings blanked out. */
function withoutCommentsAndStrings(source: string): string {
  return source.replaceAll(/\/\/[^\n]*|b"(?:[^"\\\n]|\\.)*"/g, (text) => ' '.repeat(text.length));
}

/** The end of the argument that begins at `from`: the next comma or bracket on the same level. */
function endOfArgument(code: string, from: number): number {
  let depth = 0;
  for (let at = from; at < code.length; at++) {
    const character = code[at] ?? '';
    if ('([{'.includes(character)) depth += 1;
    else if (')]}'.includes(character)) {
      if (depth === 0) return at;
      depth -= 1;
    } else if (character === ',' && depth === 0) return at;
  }
  return code.length;
}

/** The lines from one place to another, on one line and without needless blanks. */
function statementAt(source: string, from: number, to: number): string {
  const start = source.lastIndexOf('\n', from - 1) + 1;
  const end = source.indexOf('\n', to);
  return source
    .slice(start, end === -1 ? source.length : end)
    .replaceAll(/\s+/g, ' ')
    .trim();
}
