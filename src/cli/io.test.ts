import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { coloursFor } from '#infrastructure';
import { createIo, reportError, table } from './io.ts';

const colourStart = '\u001b[';

beforeEach(() => {
  vi.stubEnv('NO_COLOR', undefined);
  vi.stubEnv('TERM', 'xterm');
  // What makes others colour what no terminal reads.
  vi.stubEnv('CI', 'true');
  vi.stubEnv('FORCE_COLOR', '1');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function streamOf(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY });
  return { stream, text: () => String(stream.read() ?? '') };
}

test('colour is for a terminal', () => {
  const [terminal, file] = [streamOf(true), streamOf(false)];
  reportError(new Error('no'), false, terminal.stream);
  reportError(new Error('no'), false, file.stream);
  expect(terminal.text()).toContain(colourStart);
  expect(file.text()).not.toContain(colourStart);
});

test('the result is not coloured when it goes to a file while progress is on a terminal', () => {
  const [terminal, file] = [streamOf(true), streamOf(false)];
  const io = createIo({ json: false, stdout: file.stream, stderr: terminal.stream });
  io.step('done');
  expect(terminal.text()).toContain(colourStart);
  expect(io.colour.bold('Gateways')).toBe('Gateways');
});

test.each([
  ['NO_COLOR', '1', false],
  ['NO_COLOR', '', true],
  ['TERM', 'dumb', false],
])('%s=%s on a terminal: coloured is %s', (name, value, isColoured) => {
  vi.stubEnv(name, value);
  expect(coloursFor({ isTTY: true }).red('x').includes(colourStart)).toBe(isColoured);
});

test('with --json a warning and an error are JSON, a line each', () => {
  const { stream, text } = streamOf(true);
  createIo({ json: true, stderr: stream }).warn('look here');
  reportError(new Error('no'), true, stream);
  expect(
    text()
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
  ).toEqual([{ warning: 'look here' }, { error: { code: 'DAAS_UNEXPECTED', message: 'no', details: {} } }]);
});

const painted = '\u001b[2J\u001b[31m\u009b1A\r\u202egnp';
/** Without the colours that are ours: what a terminal still follows. */
const followed = (text: string) => {
  const ours = ['1', '2', '22', '31', '32', '33', '36', '39'];
  const plain = ours.reduce((rest, code) => rest.replaceAll(`\u001b[${code}m`, ''), text);
  return /(?!\n)\p{Cc}|\p{Cf}/u.test(plain);
};

test.each([
  ['a step', (io: ReturnType<typeof createIo>) => io.step(painted, painted)],
  ['a note', (io: ReturnType<typeof createIo>) => io.note(painted)],
  ['a warning', (io: ReturnType<typeof createIo>) => io.warn(painted)],
  ['a result', (io: ReturnType<typeof createIo>) => io.result({}, painted)],
  ['a table', (io: ReturnType<typeof createIo>) => io.result({}, table([['NODE'], [painted]]))],
])('%s that others wrote does not move the cursor of a terminal', (_what, tell) => {
  const { stream, text } = streamOf(true);
  tell(createIo({ json: false, stdout: stream, stderr: stream }));
  const shown = text();
  expect(shown).toContain('\\u{9b}');
  expect(followed(shown)).toBe(false);
  expect(shown).toContain('\\u{1b}[31m');
});

test('an error that others wrote does not move the cursor, and its lines never look like ours', () => {
  const { stream, text } = streamOf(true);
  reportError(new Error(`refused${painted}\n✓ all is well`), false, stream);
  const shown = text();
  expect(shown.split('\n')[1]).toBe('  ✓ all is well');
  expect(followed(shown)).toBe(false);
});

test('a cell of a table is one line, whatever stands in it', () => {
  expect(
    table([
      ['NODE', 'STATUS'],
      ['a\nb', 'good'],
    ]).split('\n'),
  ).toEqual(['NODE     STATUS', 'a\\u{a}b  good']);
});
