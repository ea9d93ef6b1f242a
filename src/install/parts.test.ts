import { expect, test } from 'vitest';
import { describeStep } from './describe.ts';
import { formatEnvironmentFile, parseEnvironmentFile, serviceVariables } from './environment-file.ts';
import { carryFlags, cleanK3sConfig } from './k3s-setup.ts';
import { lineDiff } from './line-diff.ts';
import { commandOf, quoteWord } from './unit-words.ts';
import { gatewayUnit, workerUnit } from './units.ts';

test.each(['plain', 'two words', 'a"b', "it's", 'back\\slash', '50%', '$HOME', '', 'a;b'])(
  'systemd reads the word %j as it was written',
  (word) => {
    expect(commandOf(`ExecStart=/bin/x ${quoteWord(word)} end`)).toEqual(['/bin/x', word, 'end']);
  },
);

test.each(['plain', 'two words', 'a"b', "it's", 'back\\slash', '$HOME `x`', ''])(
  'a variable keeps its value %j',
  (value) => {
    expect(parseEnvironmentFile(formatEnvironmentFile({ NAME: value }))).toEqual({ NAME: value });
  },
);

test('the unit keeps our variables and k3s’, not those that the gateway decides nor those of tests', () => {
  const { variables, dropped } = serviceVariables(
    { K3S_URL: 'https://k3s', K3S_DEBUG: 'true', K3S_DAAS_LOG_LEVEL: 'debug' },
    {
      K3S_TOKEN: 'x',
      K3S_DAAS_LOG_LEVEL: 'info',
      K3S_DAAS_TEST_X: '1',
      https_proxy: 'http://p',
      HOME: '/root',
    },
  );
  expect(variables).toEqual({ K3S_DEBUG: 'true', K3S_DAAS_LOG_LEVEL: 'info', https_proxy: 'http://p' });
  expect(dropped).toEqual(['K3S_TOKEN', 'K3S_URL']);
});

test.each([
  ['--server https://k --token x --debug', ['--debug'], ['--server', '--token']],
  ['-s=https://k -t x -d /data', ['-d', '/data'], ['--s', '--t']],
  ['--config /etc/k.yaml --node-name=n', ['--k3s-config=/etc/k.yaml'], ['--node-name']],
  ['--with-node-id --node-label a=b', ['--node-label', 'a=b'], ['--with-node-id']],
])('of the flags %j those that are not the gateway’s are carried over', (words, flags, dropped) => {
  expect(carryFlags(words.split(' '))).toMatchObject({ flags, dropped });
});

test.each([
  ['server: x\n', ''],
  ['# first\ntoken: |\n  one\n  two\ndebug: true\n', '# first\ndebug: true\n'],
  ['debug: true\ntoken: x', 'debug: true\n'],
  ['node-label:\n- a\n- b\ntoken+: x # why\nlog: y\n', 'node-label:\n- a\n- b\nlog: y\n'],
  ['{ server: x, debug: true }\n', '{ debug: true }\n'],
  ['', ''],
  ['debug: true\n', 'debug: true\n'],
])('k3s’ configuration %j loses what the gateway decides and nothing else', (text, expected) => {
  expect(cleanK3sConfig('/c.yaml', text).text).toBe(expected);
});

test('a difference shows what changes with one line around it', () => {
  expect(lineDiff('a\nb\nc\nd\ne', 'a\nb\nC\nd\ne\nf')).toEqual(['= b', '- c', '+ C', '= d', '= e', '+ f']);
});

test('a dry run shows names of secret variables, not their values', () => {
  const content = 'K3S_DAAS_NODE_ID=w1\nK3S_DAAS_WALLET_KEY=suiprivkey1x\nHTTPS_PROXY=http://u:p@x\n';
  const before = "K3S_TOKEN='hunter2'\n";
  const step = {
    kind: 'write',
    path: '/etc/systemd/system/k3s-agent.service.env',
    content,
    before,
    mode: 0o600,
    why: 'w',
  } as const;
  const text = describeStep(step);
  expect(text).toContain('K3S_DAAS_NODE_ID=w1');
  expect(text).toContain('K3S_DAAS_WALLET_KEY=[secret]');
  expect(text).not.toMatch(/suiprivkey1x|u:p@x|hunter2/);
});

test('the gateway’s unit reaches what its configuration names', () => {
  const unit = gatewayUnit({ stateDir: '/srv/gateway', serverCaFile: '/etc/my ca.crt' });
  expect(unit).toContain('ReadWritePaths=/srv/gateway\n');
  expect(unit).not.toContain('StateDirectory');
  expect(unit).toContain('BindReadOnlyPaths=-"/etc/my ca.crt"\n');
});

test('a flag with blanks is one word of the unit', () => {
  expect(commandOf(workerUnit({ flags: ['--node-label', 'a b'] }))?.at(-1)).toBe('a b');
});
