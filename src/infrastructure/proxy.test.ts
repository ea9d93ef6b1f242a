import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { proxyFor } from './proxy.ts';

const url = (text: string) => new URL(text);
const through = (text: string, environment: Record<string, string>) =>
  proxyFor(url(text), environment)?.url.origin;

describe('which proxy', () => {
  test.each([
    ['https by HTTPS_PROXY', 'https://a.example', { HTTPS_PROXY: 'http://p:3128' }, 'http://p:3128'],
    ['in lower case', 'https://a.example', { https_proxy: 'http://p:3128' }, 'http://p:3128'],
    [
      'upper case before lower, as Go reads them',
      'https://a.example',
      { HTTPS_PROXY: 'http://up:1', https_proxy: 'http://low:1' },
      'http://up:1',
    ],
    ['http by HTTP_PROXY alone', 'http://a.example', { HTTPS_PROXY: 'http://p:3128' }, undefined],
    ['a proxy without a scheme', 'https://a.example', { HTTPS_PROXY: 'p:3128' }, 'http://p:3128'],
    ['none', 'https://a.example', {}, undefined],
    ['an empty variable', 'https://a.example', { HTTPS_PROXY: '' }, undefined],
    ['loopback never', 'https://127.0.0.1:8443', { HTTPS_PROXY: 'http://p:3128' }, undefined],
    ['localhost never', 'http://localhost:9000', { HTTP_PROXY: 'http://p:3128' }, undefined],
    ['IPv6 loopback never', 'https://[::1]:8443', { HTTPS_PROXY: 'http://p:3128' }, undefined],
  ])('%s', (_what, target, environment, expected) => {
    expect(through(target, environment as Record<string, string>)).toBe(expected);
  });
});

describe('NO_PROXY', () => {
  test.each([
    ['*', 'https://a.example', true],
    ['a.example', 'https://a.example', true],
    ['example', 'https://a.example', true],
    ['.example', 'https://a.example', true],
    ['.a.example', 'https://a.example', false],
    ['*.example', 'https://a.example', true],
    ['xample', 'https://a.example', false],
    ['b.example, A.Example ', 'https://a.example', true],
    ['a.example:8443', 'https://a.example:8443', true],
    ['a.example:8443', 'https://a.example', false],
    ['a.example:443', 'https://a.example', true],
    ['10.0.0.0/8,172.16.0.0/12', 'https://10.42.0.7:6443', true],
    ['10.0.0.0/8', 'https://11.0.0.1', false],
    ['10.0.0.0/8', 'https://ten.example', false],
    ['192.168.7.1', 'https://192.168.7.1', true],
    ['192.168.7.1', 'https://192.168.7.10', false],
    ['fd00::/8', 'https://[fd00::5]:8443', true],
    ['fd00::5', 'https://[fd00::5]', true],
    ['10.0.0.0/99', 'https://10.0.0.1', false],
    ['', 'https://a.example', false],
  ])('%j and %s', (list, target, isExcepted) => {
    const environment = { HTTPS_PROXY: 'http://p:3128' };
    expect(through(target, { ...environment, NO_PROXY: list })).toBe(
      isExcepted ? undefined : 'http://p:3128',
    );
    expect(through(target, { ...environment, no_proxy: list })).toBe(
      isExcepted ? undefined : 'http://p:3128',
    );
  });
});

test('user and password of a proxy are sent, and seen nowhere', () => {
  const proxy = proxyFor(url('https://a.example'), { HTTPS_PROXY: 'http://me:p%40ss@proxy:3128' });
  expect(proxy?.authorization?.reveal()).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
  expect(inspect(proxy, { depth: 5 })).not.toMatch(/p@ss|p%40ss|bWU6/);
});

test.each(['socks5://p:1080', 'http://', '::'])('%j is no HTTP proxy', (value) => {
  expect(() => proxyFor(url('https://a.example'), { HTTPS_PROXY: value })).toThrow(
    expect.objectContaining({ code: 'DAAS_PROXY_INVALID', exitCode: 78 }),
  );
});
