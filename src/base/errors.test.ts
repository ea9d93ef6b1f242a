import { expect, test } from 'vitest';
import { ConfigurationError, EXIT } from './errors.ts';

const systemError = (code: string) => Object.assign(new Error(code), { code });
const exitCodeOf = (cause?: unknown) => new ConfigurationError('DAAS_TEST', 'x', { cause }).exitCode;

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
