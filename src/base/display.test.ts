import { expect, test } from 'vitest';
import { displayJson, displayLines, displayText } from './display.ts';

/** What a terminal follows, or what makes text read as what it is not; by the name of the trick. */
const tricks = {
  'an escape sequence': '\u001b[2J',
  'a title set by OSC': '\u001b]0;mine\u0007',
  'a C1 escape': '\u009b2J',
  'a carriage return': '\r',
  'a backspace': '\b\b\b',
  'a delete': '\u007f',
  'a text that runs backwards': '\u202egnp.exe',
  'an isolate': '\u2066',
  'a line separator': '\u2028',
  'an invisible character': '\u200b',
  'a tag character': '\u{e0041}',
  'half of a character': '\ud800',
};
const followed = /(?!\n)\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}|\p{Cs}/u;

test.each(Object.entries(tricks))('%s is spelled out', (_name, text) => {
  for (const shown of [displayText(`a${text}b`), displayLines(`a\n${text}b`)]) {
    expect(shown).not.toMatch(followed);
    expect(shown).toMatch(/\\u\{[0-9a-f]+\}/);
  }
});

test('a line end is kept only where lines are ours', () => {
  expect(displayText('one\ntwo')).toBe('one\\u{a}two');
  expect(displayLines('one\ntwo')).toBe('one\ntwo');
});

test('words of every language pass as they are', () => {
  const text = 'grüße, 世界, שלום, 🦭 — “it’s” 100 %';
  expect(displayText(text)).toBe(text);
});

test.each(Object.entries(tricks))('JSON with %s is the same value, and safe to print', (_name, text) => {
  const json = displayJson(JSON.stringify({ [text]: [text] }));
  expect(json).not.toMatch(followed);
  expect(JSON.parse(json)).toEqual({ [text]: [text] });
});
