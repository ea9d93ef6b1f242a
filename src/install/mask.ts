import { parseDocument } from 'yaml';
import { harmlessKeys, secretFlags } from './k3s-setup.ts';
import { quoteWord, splitWords } from './unit-words.ts';

/**
 * Files and commands as they may be printed. Each kind of file shows what is known to be harmless; the rest is `[secret]`. A join
 * token lets any machine into the cluster, and people paste what an installer prints.
 */
export function maskedFile(path: string, text: string): string {
  if (/^\/var\/lib\/k3s-daas-install\/\w+\.json$/.test(path)) return text;
  if (path.endsWith('.env')) return maskedVariables(text);
  if (/^\/etc\/(?:systemd\/system\/.+\.(?:service|conf)|init\.d\/[^/]+)$/.test(path)) return maskedUnit(text);
  // k3s' config file may have any name.
  return maskedK3sConfig(text);
}

/** The words of a command without the values of secret flags. */
export function maskedWords(words: readonly string[]): string[] {
  let isValue = false;
  return words.map((word) => {
    if (isValue) {
      isValue = false;
      return hidden;
    }
    const [, flag = '', name = '', value] = /^(--?([a-z][a-z0-9-]*))(?:=([\s\S]*))?$/i.exec(word) ?? [];
    if (!secretFlags.has(name)) return maskedWord(word);
    isValue = value === undefined;
    return isValue ? flag : `${flag}=${hidden}`;
  });
}

const hidden = '[secret]';
const secretName = /KEY$|SECRET|TOKEN|PASSWORD|HEADERS$|_PROXY$|_proxy$/;

/** A word may be a text of words: `command_args="agent --token …"`, `sh -c "…"`. */
function maskedWord(word: string): string {
  const [, before = '', name = ''] = /^((?:\w+=)?)(?:export\s+)?([A-Za-z_]\w*)=/.exec(word) ?? [];
  if (secretName.test(name)) return `${before}${name}=${hidden}`;
  if (!/\s/.test(word)) return withoutCredentials(word);
  const words = splitWords(word);
  const masked = maskedWords(words);
  return isSame(words, masked) ? word : masked.join(' ');
}

/** User names, passwords and queries of URLs; k3s' full form of a token. */
function withoutCredentials(text: string): string {
  return text
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s@'"]*@/gi, `$1${hidden}@`)
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s?'"]*\?)[^\s'"]+/gi, `$1${hidden}`)
    .replaceAll(/\bK10[0-9a-z]*::[^\s'"\\]+/gi, hidden);
}

/** A line that holds no secret stays as it is; of another one the words are shown. */
function maskedUnit(text: string): string {
  return text
    .split(/(?<!\\)\n/)
    .map((line) => {
      const words = splitWords(line.replaceAll(/\\\r?\n[ \t]*/g, ' '));
      const masked = maskedWords(words);
      return isSame(words, masked) ? withoutCredentials(line) : masked.map(shownWord).join(' ');
    })
    .join('\n');
}

const shownWord = (word: string): string => (word.includes(hidden) ? word : quoteWord(word));

/** Values as a shell quotes them, also over several lines; what is no assignment is not shown. */
function maskedVariables(text: string): string {
  const assignment =
    /^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=((?:'[^']*'|"(?:[^"\\]|\\[\s\S])*"|\\.|[^\s'"\\])*)[ \t]*(.*)$/gm;
  let end = 0;
  let shown = '';
  const skip = (skipped: string) => skipped.replaceAll(/[^\n]+/g, (line) => (line.trim() ? hidden : line));
  for (const match of text.matchAll(assignment)) {
    const [line, name = '', value = '', rest = ''] = match;
    shown += skip(text.slice(end, match.index));
    shown += `${name}=${secretName.test(name) ? hidden : withoutCredentials(value)}${rest && ` ${hidden}`}`;
    end = match.index + line.length;
  }
  return shown + skip(text.slice(end));
}

/** Every key, and the values of harmless ones; no comments, which may hold a line that was switched off. */
function maskedK3sConfig(text: string): string {
  const document = parseDocument(text, { version: '1.1', uniqueKeys: false, prettyErrors: false });
  const values: unknown = document.errors.length > 0 ? undefined : document.toJS();
  if (values === null) return '';
  if (typeof values !== 'object' || Array.isArray(values)) return hidden;
  return Object.entries(values)
    .map(([key, value]) => {
      const isHarmless = harmlessKeys.has(key.replace(/\+$/, ''));
      return `${key}: ${isHarmless ? withoutCredentials(JSON.stringify(value)) : hidden}\n`;
    })
    .join('');
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.every((word, at) => word === other[at]);
}
