import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { coloursFor } from '#base';
import { createIo, reportError } from './io.ts';

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
