import { expect, test } from 'vitest';
import { type CertificateFacts, planCertificates } from './certificates.ts';
import { podShimId } from './pods.ts';
import { withDescendants } from './process-table.ts';
import { nodeReadiness } from './readiness.ts';
import { decideRestart } from './restart.ts';
import { AgentSettings } from './settings.ts';
import { cpuPercent, memoryPercent, parseCpuTimes } from './usage.ts';

const base: CertificateFacts = {
  inPlace: 'pair',
  aside: false,
  hasLiveCredential: true,
  isFreshCredential: false,
  lastStartReachedReady: true,
};

test.each<[string, Partial<CertificateFacts>, string]>([
  ['a fresh credential moves the old certificate aside', { isFreshCredential: true }, 'move-aside'],
  [
    'after a start that did not reach Ready it is moved aside',
    { lastStartReachedReady: false },
    'move-aside',
  ],
  ['after a start that reached Ready it stays', {}, 'leave'],
  [
    'without a certificate there is nothing to move',
    { isFreshCredential: true, inPlace: 'nothing' },
    'leave',
  ],
  [
    'without a live credential it stays, whatever the last start reached',
    { hasLiveCredential: false, lastStartReachedReady: false },
    'leave',
  ],
  [
    'without a live credential the pair that was moved aside comes back',
    { hasLiveCredential: false, inPlace: 'nothing', aside: true },
    'restore',
  ],
  [
    'without a live credential what a killed host had moved aside comes back to the other half',
    { hasLiveCredential: false, inPlace: 'half', aside: true },
    'restore',
  ],
  ['half a pair is moved aside as well', { isFreshCredential: true, inPlace: 'half' }, 'move-aside'],
  [
    'a newer pair in place is not overwritten by the one aside',
    { hasLiveCredential: false, aside: true },
    'leave',
  ],
])('%s', (_, facts, plan) => {
  expect(planCertificates({ ...base, ...facts })).toBe(plan);
});

const budget = { crashes: 3, windowMs: 1000 };
const delay = { baseMs: 100, maxMs: 10_000 };

test('restarts come after growing, jittered delays', () => {
  expect(decideRestart([0], budget, delay, () => 0.5)).toEqual({ kind: 'restart', delayMs: 50 });
  expect(decideRestart([0, 10], budget, delay, () => 0.5)).toEqual({ kind: 'restart', delayMs: 100 });
});

test('crashes within the window use the budget up', () => {
  expect(decideRestart([0, 10, 20], budget, delay, () => 0.5)).toEqual({ kind: 'give-up', crashes: 3 });
});

test('crashes of long ago do not count', () => {
  expect(decideRestart([0, 10, 5000], budget, delay, () => 0.5)).toEqual({ kind: 'restart', delayMs: 50 });
});

const address = '/run/k3s/containerd/containerd.sock';
const shim = (...words: string[]) => podShimId(['/x/bin/containerd-shim-runc-v2', ...words], address);

test('a shim of our containerd in the namespace of Kubernetes is a pod of ours', () => {
  expect(shim('-namespace', 'k8s.io', '-id', 'abc', '-address', address)).toBe('abc');
  expect(shim('--namespace=k8s.io', `--address=${address}`, '--id=abc')).toBe('abc');
});

test.each([
  ['another containerd', ['-namespace', 'k8s.io', '-id', 'a', '-address', '/run/containerd/containerd.sock']],
  ["docker's namespace", ['-namespace', 'moby', '-id', 'a', '-address', address]],
  ['an address that only begins like ours', ['-namespace', 'k8s.io', '-id', 'a', '-address', `${address}2`]],
  ['no address', ['-namespace', 'k8s.io', '-id', 'a']],
])('a shim of %s is nobody of ours', (_, words) => {
  expect(shim(...words)).toBeUndefined();
});

test('a program that only names our address is no shim', () => {
  expect(
    podShimId(['grep', '-namespace', 'k8s.io', '-id', 'a', '-address', address], address),
  ).toBeUndefined();
});

test('descendants are found at any depth, parents first', () => {
  const process = (pid: number, parentPid: number) => ({ pid, parentPid, startTicks: 0, commandLine: [] });
  const all = [process(4, 3), process(3, 2), process(2, 1), process(9, 1)];
  expect(withDescendants([process(2, 1)], all).map(({ pid }) => pid)).toEqual([2, 3, 4]);
});

test('a Node is Ready by its condition alone', () => {
  const node = (status: string) => ({
    status: { conditions: [{ type: 'Ready', status, message: 'no CNI' }] },
  });
  expect(nodeReadiness(node('True'))).toEqual({ isReady: true });
  expect(nodeReadiness(node('False'))).toMatchObject({
    isReady: false,
    detail: 'the Node is not Ready: no CNI',
  });
  expect(nodeReadiness({})).toMatchObject({ isReady: false });
});

test('usage is read from proc', () => {
  const before = parseCpuTimes('cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1');
  const after = parseCpuTimes('cpu  150 0 150 750 150 0 0 0 50 0');
  expect(before).toEqual({ busy: 200, total: 1000 });
  expect(cpuPercent(before, after)).toBe(50);
  expect(cpuPercent(after, after)).toBe(0);
  expect(memoryPercent('MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n')).toBe(75);
});

test('settings have defaults, and unknown keys are refused', () => {
  expect(AgentSettings.parse({})).toEqual({
    binary: 'k3s',
    args: [],
    runtimeDir: '/run/k3s-daas',
    joinDeadlineMs: 300_000,
    stopDeadlineMs: 30_000,
    crashBudget: { crashes: 6, windowMs: 600_000 },
    restartDelay: { baseMs: 2000, maxMs: 60_000 },
  });
  expect(AgentSettings.safeParse({ binry: 'k3s' }).success).toBe(false);
});
