import { lineDiff } from './line-diff.ts';
import { maskedFile, maskedWords } from './mask.ts';
import type { Step } from './steps.ts';

/** A step for people: one line that says what and why, then content or difference, indented. */
export function describeStep(step: Step): string {
  const first = headline(step);
  if (step.kind !== 'write' || step.isHelp) return first;
  const lines =
    step.before === undefined
      ? maskedFile(step.path, step.content).trimEnd().split('\n')
      : lineDiff(maskedFile(step.path, step.before), maskedFile(step.path, step.content));
  return [first, ...lines.map((line) => `    ${line}`.trimEnd())].join('\n');
}

function headline(step: Step): string {
  const why = `  # ${step.why}`;
  switch (step.kind) {
    case 'directory':
      return `make directory ${step.path} (${octal(step.mode)})${why}`;
    case 'keep':
      return `keep ${step.path} as ${step.copy}${why}`;
    case 'write':
      return `${step.before === undefined ? 'write' : 'change'} ${step.path} (${octal(step.mode)})${why}`;
    case 'remove':
      return `remove ${step.path}${why}`;
    case 'link':
      return `link ${step.path} -> ${step.target}${why}`;
    case 'download':
      return `download ${step.url} to ${step.path} (${octal(step.mode)}), sha256 ${typeof step.sha256 === 'string' ? step.sha256 : `by ${step.sha256.listUrl}`}${why}`;
    case 'run':
      return `run ${maskedWords(step.argv).map(shown).join(' ')}${why}`;
    default:
      return step satisfies never;
  }
}

/** The same for machines; contents are as for people, without secrets. */
export function stepJson(step: Step): Readonly<Record<string, unknown>> {
  if (step.kind === 'write') {
    const { content, before: _, owner: _owner, isHelp, mode, ...rest } = step;
    return { ...rest, mode: octal(mode), ...(!isHelp && { content: maskedFile(step.path, content) }) };
  }
  if (step.kind === 'run') return { kind: step.kind, argv: maskedWords(step.argv), why: step.why };
  return { ...step };
}

function shown(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
