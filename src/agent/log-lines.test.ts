import { expect, test } from 'vitest';
import { configurationFault, isSettingFault, joinTrouble, LineSplitter, parseLogLine } from './log-lines.ts';

test('a logrus line gives level, message and fields', () => {
  const line = String.raw`time="2026-08-27T15:37:18Z" level=warning msg="say \"hi\"\n\x41\u00e9" error="x: y" node=w1`;
  expect(parseLogLine(line)).toEqual({
    level: 'warn',
    message: 'say "hi"\nA\u00e9',
    fields: { time: '2026-08-27T15:37:18Z', error: 'x: y', node: 'w1' },
  });
});

test('a fatal line is an error that keeps its severity', () => {
  expect(parseLogLine('time="t" level=fatal msg=gone')).toEqual({
    level: 'error',
    message: 'gone',
    fields: { time: 't', severity: 'fatal' },
  });
});

test('a structured klog line gives its pairs and where it was written', () => {
  const line = `E0827 15:37:18.126065    1234 kubelet_node_status.go:107] "Unable to register node with API server" err="nodes \\"w1\\" not found" node="w1"`;
  expect(parseLogLine(line)).toEqual({
    level: 'error',
    message: 'Unable to register node with API server',
    fields: {
      time: '0827 15:37:18.126065',
      source: 'kubelet_node_status.go:107',
      err: 'nodes "w1" not found',
      node: 'w1',
    },
  });
});

test('a plain klog line keeps its text', () => {
  expect(parseLogLine('W0827 15:37:18.126065    1234 a.go:1] it is 5" wide = big')).toMatchObject({
    level: 'warn',
    message: 'it is 5" wide = big',
  });
});

test.each([
  ['panic: runtime error: index out of range'],
  ['time="t" level=odd msg="x"'],
  ['time="t" level=info msg="no end'],
  ['level=info without pairs'],
  ['{"json":true}'],
  ['I0827 not klog'],
])('a line that is neither is kept whole: %s', (line) => {
  expect(parseLogLine(line)).toEqual({ level: 'info', message: line, fields: {} });
});

test('lines are cut at line ends wherever the chunks end, and none is lost', () => {
  const splitter = new LineSplitter();
  expect(splitter.push('one\r\ntw')).toEqual(['one']);
  expect(splitter.push('o\n\nthree')).toEqual(['two']);
  expect(splitter.rest()).toEqual(['three']);
  expect(splitter.rest()).toEqual([]);
});

test('a line that never ends is given out in pieces', () => {
  const splitter = new LineSplitter(4);
  expect([...splitter.push('abcdefghij'), ...splitter.rest()].join('')).toBe('abcdefghij');
});

test.each([
  [
    'Waiting to retrieve agent configuration; server is not ready: failed to retrieve configuration from server: not authorized',
    true,
  ],
  [
    'Failed to validate connection to cluster at https://s:6443: token CA hash does not match the Cluster CA certificate hash: a != b',
    true,
  ],
  ['Failed to validate connection to cluster at https://s:6443: connect ECONNREFUSED 127.0.0.1:6443', false],
  [
    'Waiting to retrieve agent configuration; server is not ready: Post "https://127.0.0.1:6444/v1-k3s/serving-kubelet.crt": http: ContentLength=189 with Body length 0',
    true,
  ],
  ['Node authorization rejected, retrying without client certificate authentication', true],
])('trouble with the join is recognised: %s', (message, isRefusal) => {
  expect(joinTrouble({ level: 'info', message, fields: {} })).toMatchObject({ isRefusal });
});

test('a Node that is not accepted is no refusal of the credential', () => {
  const record = parseLogLine(
    `E0827 15:37:18.126065 1 a.go:1] "Unable to register node with API server" err="no stake" node="w1"`,
  );
  expect(joinTrouble(record)).toEqual({ reason: 'the Node is not accepted: no stake', isRefusal: false });
});

test('ordinary lines are no trouble', () => {
  expect(joinTrouble({ level: 'info', message: 'Starting k3s agent', fields: {} })).toBeUndefined();
});

test("k3s' last words are told without what may be a token", () => {
  const line = (message: string) => `time="2026-01-01T00:00:00Z" level=fatal msg="${message}"`;
  expect(
    configurationFault(`Incorrect Usage: bad flag syntax: --=\n\n${line('Error: bad flag syntax: --=')}`),
  ).toBe('bad flag syntax: --=');
  expect(configurationFault(line('invalid value K10ab::server:pw of abcdef.0123456789abcdef'))).toBe(
    'invalid value [secret] of [secret]',
  );
  expect(configurationFault('NAME:\n  k3s agent')).toBeUndefined();
});

test.each([
  'kubelet exited: failed to parse kubelet flag: unknown flag: --foo',
  "kubelet exited: failed to validate kubelet flags: unknown 'kubernetes.io' labels",
  'flag provided but not defined: -node-lable',
  'Cannot use two forms of the same flag: d data-dir',
  'invalid boolean value "yes" for -debug: parse error',
  'yaml: line 1: did not find expected node content',
  'failed to start kubelet: prepare default configuration drop-in: failed to parse node taints: invalid taint spec: a',
])('these last words name a setting, which no restart mends: %s', (words) => {
  expect(isSettingFault(words)).toBe(true);
});

test.each([
  'containerd exited: signal: killed',
  'context canceled',
  'listen tcp 127.0.0.1:6444: bind: address already in use',
])('after these last words a restart may help: %s', (words) => {
  expect(isSettingFault(words)).toBe(false);
});
