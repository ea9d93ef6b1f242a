import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { DaasError, errorFields, Secret } from '#base';
import { createLogger, redact } from './logger.ts';

function sink() {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return {
    stream,
    text: () => text,
    lines: () =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

test('a record is one JSON object a line, with its bound fields', () => {
  const out = sink();
  createLogger({ stream: out.stream }).child({ plugin: 'staking' }).info('Stake created', { stakeMist: 5n });
  expect(out.lines()).toEqual([
    { time: expect.any(String), level: 'info', message: 'Stake created', plugin: 'staking', stakeMist: '5' },
  ]);
});

test('an error keeps its code, message, stack and cause', () => {
  const out = sink();
  const cause = new Error('socket closed');
  createLogger({ stream: out.stream }).error('It failed', {
    failure: new DaasError('PLUGIN_X', 'no', { cause }),
  });
  expect(out.lines()[0]).toMatchObject({
    failure: {
      code: 'PLUGIN_X',
      message: 'no',
      stack: expect.any(String),
      cause: { message: 'socket closed' },
    },
  });
});

test('fields cannot take the place of level, message or time, and a circle does not end the process', () => {
  const out = sink();
  const circle: Record<string, unknown> = { level: 'none', message: 'other' };
  circle.self = circle;
  createLogger({ stream: out.stream }).warn('Real', { level: 'fake', message: 'fake', circle });
  expect(out.lines()[0]).toMatchObject({
    level: 'warn',
    message: 'Real',
    field_level: 'fake',
    field_message: 'fake',
  });
});

test('records below the level are left out', () => {
  const out = sink();
  createLogger({ stream: out.stream, level: 'warn' }).info('quiet');
  expect(out.text()).toBe('');
});

test('text for a terminal names the facts', () => {
  const out = sink();
  createLogger({ stream: out.stream, format: 'text' }).info('Worker joined', {
    nodeId: 'w-1',
    note: 'two words',
    signal: undefined,
  });
  expect(out.text()).toMatch(/info {2}Worker joined {2}nodeId=w-1 note="two words"\n$/);
});

test('the code of a failure is error.code, in JSON and in text for a terminal', () => {
  const failure = new DaasError('PLUGIN_X', 'no answer');
  const json = sink();
  createLogger({ stream: json.stream }).warn('It failed', { nodeId: 'w-1', ...errorFields(failure) });
  expect(json.lines()[0]).toMatchObject({ error: { code: 'PLUGIN_X', message: 'no answer' } });
  const text = sink();
  createLogger({ stream: text.stream, format: 'text' }).warn('It failed', errorFields(failure));
  expect(text.text()).toContain('error.code=PLUGIN_X error.message="no answer"\n');
});

const hash = 'a'.repeat(64);
test.each([
  [`token K10${hash}::abcdef.0123456789abcdef end`, '0123456789abcdef'],
  [`K10${hash}::node:0f3c2b`, '0f3c2b'],
  ['bootstrap abcdef.0123456789abcdef', '0123456789abcdef'],
  ['key suiprivkey1qzdp9w5v0t8lq', 'qzdp9w5v0t8lq'],
  ['X-Seal-Token: seal_eyJhbGciOiJFZDI1NTE5In0.eyJpc3MiOiJ3In0.c2ln', 'eyJpc3MiOiJ3In0'],
  ['Authorization: Bearer abcdefghijklmnopqrstuvwx', 'abcdefghijklmnopqrstuvwx'],
  ['-----BEGIN PRIVATE KEY-----\\nMC4CAQ\\n-----END PRIVATE KEY-----', 'MC4CAQ'],
])('what looks like a secret is taken out: %s', (line, secret) => {
  const out = sink();
  createLogger({ stream: out.stream }).info(line, { nested: { deep: [line] }, secret: new Secret(secret) });
  expect(out.text()).not.toContain(secret);
  expect(redact(line)).not.toContain(secret);
});

test.each([
  'eviction-steady.0123456789abcdef',
  'pod worker.steady.0123456789abcdef',
  'steady.0123456789abcdef.example.com',
  'steady.0123456789abcdef0',
  'unsteady.0123456789abcdef',
])('a name that only ends like a bootstrap token passes: %s', (line) => {
  expect(redact(line)).toBe(line);
});

test.each([
  '(abcdef.0123456789abcdef)',
  'token abcdef.0123456789abcdef.',
  '"a\\nabcdef.0123456789abcdef"',
  'x=abcdef.0123456789abcdef',
])('a bootstrap token is taken out wherever it is a word of its own: %s', (line) => {
  expect(redact(line)).not.toContain('0123456789abcdef');
});

test('public names pass: the hash of a Seal token, object ids, digests', () => {
  const line = `seal_${'0'.repeat(32)} 0x${hash} 9gd2v1kLZ 10.0.0.1:6443`;
  expect(redact(line)).toBe(line);
});

test('a log whose reader has gone ends nobody', async () => {
  const stream = new Writable({
    autoDestroy: false,
    write: (_chunk, _encoding, done) => done(new Error('write EPIPE')),
  });
  const log = createLogger({ stream });
  log.info('The agent is stopped');
  await new Promise((resolve) => setImmediate(resolve));
  expect(stream.errored).toMatchObject({ message: 'write EPIPE' });
  expect(() => log.info('Its pods are killed')).not.toThrow();
});

const painted = 'a\u001b[2J\u009b1A\u2028\u202e\ud800z';
const followed = /(?!\n)\p{Cc}|\p{Cf}|\p{Zl}|\p{Cs}/u;

test.each(['text', 'json'] as const)(
  'what others wrote does not move the cursor of a terminal (%s)',
  (format) => {
    const out = sink();
    const error = new Error(painted);
    createLogger({ stream: out.stream, format }).info(painted, {
      [painted]: painted,
      nested: { [painted]: [painted] },
      failure: error,
    });
    expect(out.text()).not.toMatch(followed);
    expect(out.text().trimEnd().split('\n')).toHaveLength(1);
    if (format === 'json') expect(out.lines()[0]).toMatchObject({ message: painted, [painted]: painted });
  },
);
