import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../world/program.ts';

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  readonly line: number;
  /** The info string: '' for commands. */
  readonly language: string;
  readonly text: string;
  /** From `<!-- not run: REASON -->` in the line before the block. */
  readonly notRun: string | undefined;
}

export const pages = [
  'README.md',
  ...[
    'getting-started',
    'install',
    'kubectl',
    'money',
    'operations',
    'configuration',
    'contracts',
    'proofs',
    'testing',
    'plugins',
  ].map((name) => `docs/${name}.md`),
];

export function readPage(page: string): string {
  return readFileSync(join(projectRoot, page), 'utf8');
}

export function blocksOf(page: string): Block[] {
  const lines = readPage(page).split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const [, indent = '', language = ''] = /^( *)```(\S*)$/.exec(lines[at] ?? '') ?? [];
    if (!/^ *```/.test(lines[at] ?? '')) continue;
    const end = lines.indexOf(`${indent}\`\`\``, at + 1);
    if (end === -1) throw new Error(`${page}:${at + 1}: the block has no end`);
    blocks.push({
      page,
      line: at + 1,
      language,
      text: lines
        .slice(at + 1, end)
        .map((line) => line.slice(indent.length))
        .join('\n'),
      notRun: /<!-- not run: (.+) -->/.exec(lines[at - 1] ?? '')?.[1],
    });
    at = end;
  }
  return blocks;
}

/** Words as a shell makes them, up to a pipe, a redirection or a comment. */
export function wordsOf(command: string): string[] {
  const words: string[] = [];
  for (const [word, double, single, plain] of command.matchAll(/"([^"]*)"|'([^']*)'|([^\s"']+)/g)) {
    if (/^(?:[|>#;&]|2>)/.test(word)) break;
    words.push(double ?? single ?? plain ?? '');
  }
  return words;
}

/** Every `k3s-daas …` in the lines of a block. */
export function commandsIn(text: string): string[][] {
  return text
    .split('\n')
    .flatMap((line) => line.split(/&&|;/))
    .map((part) => part.trim())
    .filter((part) => part.startsWith('k3s-daas '))
    .map((part) => wordsOf(part).slice(1));
}

/** Every `k3s-daas …` that stands in a sentence. */
export function commandsInSentences(markdown: string): string[][] {
  const prose = markdown.replaceAll(/^ *```[\s\S]*?^ *``` *$/gm, '');
  return [...prose.matchAll(/`(k3s-daas [^`]+)`/g)].map(([, command = '']) => wordsOf(command).slice(1));
}
