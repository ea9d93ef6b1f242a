import { expect, test } from 'vitest';
import { ConfigurationError, DaasError, EXIT, messageOf } from './errors.ts';

const systemError = (code: string) => Object.assign(new Error(code), { code });
const exitCodeOf = (cause?: unknown) => new ConfigurationError('PLUGIN_TEST', 'x', { cause }).exitCode;

test.each(['EADDRINUSE', 'EADDRNOTAVAIL', 'EMFILE', 'ENOSPC', 'ENOMEM', 'ETXTBSY', 'EIO', 'EAI_AGAIN'])(
  'what the machine refuses for now (%s) does not end a host with the code that a service manager takes as final',
  (code) => {
    expect(exitCodeOf(systemError(code))).toBe(EXIT.joinDeadline);
    expect(exitCodeOf(new Error('in between', { cause: systemError(code) }))).toBe(EXIT.joinDeadline);
  },
);

test.each(['ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR'])(
  'a file that only the user can mend (%s) is final',
  (code) => {
    expect(exitCodeOf(systemError(code))).toBe(EXIT.configuration);
  },
);

test('a setting that is wrong by itself is final', () => {
  expect(exitCodeOf()).toBe(EXIT.configuration);
  expect(exitCodeOf('text')).toBe(EXIT.configuration);
});

const cause = new Error('listen EADDRINUSE: address already in use 127.0.0.1:8445');

test('a cause that the sentence leaves out is told behind it', () => {
  expect(messageOf(new DaasError('PLUGIN_TEST', 'the port cannot be opened', { cause }))).toBe(
    `the port cannot be opened: ${cause.message}`,
  );
});

test('a cause that stands in the sentence is told once', () => {
  const sentence = `the port cannot be opened (${cause.message}): choose another`;
  expect(messageOf(new DaasError('PLUGIN_TEST', sentence, { cause }))).toBe(sentence);
});
