import { existsSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { ConfigurationError, DaasError } from '#base';
import type { Cluster, SealToken, StakeRecord } from '#domain';
import { checks, doctorCommand, examine } from './doctor.ts';
import type { Probes } from './doctor-check.ts';
import { probesOf } from './doctor-probes.ts';
import { createIo } from './io.ts';

const SUI = 1_000_000_000n;
const record = { id: '0x1', status: 'active', stakeMist: 2n * SUI } as StakeRecord;
const token = { expiresAtEpoch: 30n } as SealToken;
const cluster = { id: '0xc', parameters: { minimumWorkerStakeMist: SUI } } as Cluster;
const gateway = {
  url: 'https://gateway.example:8443',
  clock: { theirsMs: 1_000, oursMs: 1_200 },
  admissible: true,
};

/** A worker of whom every check thinks well. */
function probes(
  change: Partial<Probes> = {},
  texts: Readonly<Record<string, string | undefined>> = {},
): Probes {
  const files: Readonly<Record<string, string | undefined>> = {
    '/proc/sys/kernel/osrelease': '6.1.0\n',
    '/proc/filesystems': 'nodev\toverlay\n',
    '/proc/sys/net/bridge/bridge-nf-call-iptables': '1\n',
    '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
    ...texts,
  };
  return {
    uid: 0,
    worker: async () => ({
      file: '/etc/k3s-daas/k3s-daas.yaml',
      nodeId: 'worker-1',
      stateDir: '/var/lib/k3s-daas',
      healthPort: 8445,
      warnings: [],
      gasMist: SUI / 20n,
    }),
    chain: async () => ({
      point: { epoch: 10n, timestampMs: 100_000 },
      cluster,
      hasTrustPin: true,
      askedAtMs: 101_000,
    }),
    stake: async () => ({ record, token }),
    balance: async () => ({ address: '0xa', mist: SUI }),
    gateways: async () => [gateway],
    serverCa: async () => ({ url: 'https://k3s:6443', expected: 'aa', found: 'aa' }),
    k3s: async () => ({ version: 'v1.36.2+k3s1', binary: '/usr/local/bin/k3s', dataDir: '/d' }),
    tee: async () => ({ provider: 'none', isSealed: false }),
    latch: async () => undefined,
    unit: async () => ({ active: 'active', exitCode: 0, isOurs: true }),
    text: async (path) => files[path],
    listening: async () => new Set([22]),
    isAgentRunning: async () => false,
    space: async () => ({ freeBytes: 50 * 2 ** 30, totalBytes: 100 * 2 ** 30 }),
    ...change,
  };
}

const stateOf = async (id: string, seen: Probes) => (await examine(seen)).find((one) => one.id === id);

test('a worker that is well has nothing to do', async () => {
  for (const { id, state, evidence, fix } of await examine(probes()))
    expect([id, state, evidence, fix]).toEqual([id, 'good', expect.any(String), null]);
});

const down = new DaasError('DAAS_CHAIN_UNAVAILABLE', 'no full node answers', { isRetryable: true });
const unconfigured = new ConfigurationError('DAAS_AGENT_SETTING_CONFLICT', 'K3S_TOKEN sets token');
const unified = '/sys/fs/cgroup/cgroup.controllers';

test.each<[string, string, Partial<Probes>, Readonly<Record<string, string | undefined>>?]>([
  ['configuration', 'bad', { worker: async () => Promise.reject(unconfigured) }],
  [
    'configuration',
    'warn',
    { worker: async () => ({ ...(await probes().worker()), warnings: ['chmod 600'] }) },
  ],
  ['k3s', 'bad', { k3s: async () => Promise.reject(unconfigured) }],
  ['k3s', 'bad', { k3s: async () => ({ version: 'v1.21.3+k3s1', binary: '/k3s', dataDir: '/d' }) }],
  ['k3s', 'warn', { k3s: async () => ({ version: 'v1.28.0+k3s1', binary: '/k3s', dataDir: '/d' }) }],
  ['unit', 'bad', { unit: async () => ({ active: 'failed', exitCode: 77, isOurs: true }) }],
  ['unit', 'warn', { unit: async () => ({ active: 'active', exitCode: 0, isOurs: false }) }],
  ['unit', 'warn', { unit: async () => ({ active: 'activating', exitCode: 0, isOurs: true }) }],
  ['unit', 'unknown', { unit: async () => ({ active: undefined, exitCode: undefined, isOurs: false }) }],
  ['latch', 'bad', { latch: async () => ({ detail: 'slashed: it misbehaved' }) }],
  ['root', 'warn', { uid: 1000 }],
  ['kernel', 'warn', {}, { '/proc/filesystems': 'ext4\n' }],
  ['kernel', 'warn', {}, { '/proc/sys/net/bridge/bridge-nf-call-iptables': undefined }],
  ['cgroups', 'bad', {}, { [unified]: 'cpu pids\n' }],
  ['cgroups', 'unknown', {}, { [unified]: undefined }],
  [
    'cgroups',
    'warn',
    {},
    { [unified]: undefined, '/d/agent/etc/kubelet.conf.d/10-cgroup-v1.conf': 'failCgroupV1: false\n' },
  ],
  ['ports', 'bad', { listening: async () => new Set([10_250]) }],
  ['ports', 'good', { listening: async () => new Set([10_250]), isAgentRunning: async () => true }],
  ['disk', 'bad', { space: async () => ({ freeBytes: 5, totalBytes: 100 }) }],
  ['disk', 'warn', { space: async () => ({ freeBytes: 12, totalBytes: 100 }) }],
  ['chain', 'unknown', { chain: async () => Promise.reject(down) }],
  ['chain', 'bad', { chain: async () => ({ ...(await probes().chain()), askedAtMs: 200_000 }) }],
  ['trust-pin', 'warn', { chain: async () => ({ ...(await probes().chain()), hasTrustPin: false }) }],
  ['clock', 'warn', { gateways: async () => [{ ...gateway, clock: { theirsMs: 0, oursMs: 9_000 } }] }],
  ['clock', 'bad', { gateways: async () => [{ ...gateway, clock: { theirsMs: 0, oursMs: -90_000 } }] }],
  ['clock', 'unknown', { gateways: async () => [] }],
  ['gateway', 'bad', { gateways: async () => [] }],
  [
    'gateway',
    'bad',
    {
      gateways: async () => [
        gateway,
        { url: 'https://x', error: { code: 'DAAS_GATEWAY_PIN_MISMATCH', message: 'another key' } },
      ],
    },
  ],
  [
    'gateway',
    'warn',
    {
      gateways: async () => [
        gateway,
        { url: 'https://x', error: { code: 'DAAS_GATEWAY_TIMEOUT', message: 'late' } },
      ],
    },
  ],
  ['admission', 'bad', { gateways: async () => [{ ...gateway, admissible: false, reason: 'banned' }] }],
  ['admission', 'unknown', { gateways: async () => [] }],
  ['server-ca', 'bad', { serverCa: async () => ({ url: 'https://k', expected: 'aa', found: 'bb' }) }],
  [
    'evidence',
    'good',
    { tee: async () => ({ provider: 'tpm', isSealed: false, found: { isHere: true, what: 'a TPM' } }) },
  ],
  [
    'evidence',
    'bad',
    { tee: async () => ({ provider: 'tpm', isSealed: false, found: { isHere: false, what: 'no TPM' } }) },
  ],
  ['node-key', 'good', { tee: async () => ({ provider: 'none', isSealed: true }) }],
  [
    'node-key',
    'bad',
    { tee: async () => ({ provider: 'none', isSealed: true, sealProblem: 'another TPM' }) },
  ],
  ['server-ca', 'unknown', { serverCa: async () => undefined }],
  ['stake', 'warn', { stake: async () => ({ record: undefined, token: undefined }) }],
  ['stake', 'bad', { stake: async () => ({ record: { ...record, status: 'slashed' }, token }) }],
  ['stake', 'bad', { stake: async () => ({ record: { ...record, stakeMist: 1n }, token }) }],
  ['stake', 'warn', { stake: async () => ({ record, token: undefined }) }],
  ['stake', 'warn', { stake: async () => ({ record, token: { ...token, expiresAtEpoch: 12n } }) }],
  ['stake', 'bad', { stake: async () => ({ record, token: { ...token, expiresAtEpoch: 10n } }) }],
  ['gas', 'warn', { balance: async () => ({ address: '0xa', mist: 1n }) }],
])('%s is %s when it should be', async (id, state, change, texts) => {
  const found = await stateOf(id, probes(change, texts));
  expect(found).toMatchObject({ state });
  if (state === 'bad' || state === 'warn') expect(found?.fix).toEqual(expect.stringMatching(/\w{3}/));
});

test('what keeps several checks from looking is told once', async () => {
  const failing = async () => Promise.reject(unconfigured);
  const findings = await examine(probes({ worker: failing, gateways: failing }));
  expect(findings.filter(({ evidence }) => evidence.includes('K3S_TOKEN'))).toHaveLength(1);
  expect(findings.find(({ id }) => id === 'clock')?.evidence).toBe('not looked at: see configuration');
});

test('every check has a failing case above and a page that is there', () => {
  const source = readFileSync(import.meta.filename, 'utf8');
  for (const { id, link } of checks) {
    expect(source, `${id} has no failing case`).toMatch(
      new RegExp(`^ *'${id}',\n *'(bad|warn)'|\\['${id}', '(bad|warn)'`, 'm'),
    );
    const [page = '', anchor] = link.split('#');
    expect(existsSync(`docs/${page}`), `docs/${page}`).toBe(true);
    const headings = readFileSync(`docs/${page}`, 'utf8').match(/^#+ .+$/gm) ?? [];
    const anchors = headings.map((one) =>
      one
        .replace(/^#+ /, '')
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    if (anchor !== undefined) expect(anchors, link).toContain(anchor);
  }
});

test('without a configuration the command names it and exits with 1', async () => {
  const stdout = new PassThrough();
  const before = process.exitCode;
  await doctorCommand(createIo({ json: true, stdout })).parseAsync(['--config', '/nonexistent.yaml'], {
    from: 'user',
  });
  const { findings, needsAction } = JSON.parse(String(stdout.read())) as {
    findings: Array<{ id: string; state: string }>;
    needsAction: boolean;
  };
  expect(process.exitCode).toBe(1);
  process.exitCode = before;
  expect(needsAction).toBe(true);
  expect(findings.map(({ id }) => id)).toEqual(checks.map(({ id }) => id));
  expect(findings[0]).toMatchObject({ id: 'configuration', state: 'bad' });
});

test('this machine is looked at: ports, space, files', async () => {
  const real = probesOf({ env: {}, directories: [] });
  expect((await real.space('/var/lib/not/there')).totalBytes).toBeGreaterThan(0);
  expect(await real.text('/proc/sys/kernel/osrelease')).toMatch(/\d/);
  expect(await real.listening()).toBeInstanceOf(Set);
  await expect(real.worker()).rejects.toMatchObject({ code: 'DAAS_CONFIG_INVALID' });
});
