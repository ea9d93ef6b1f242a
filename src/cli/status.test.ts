import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { frame, liveScreen } from './live-screen.ts';
import { span, statusScreen } from './status-screen.ts';
import type { ShownStatus } from './status-source.ts';

const plain = { bold: String, dim: String };
const nowMs = Date.UTC(2026, 0, 2);
const status: ShownStatus = {
  nodeId: 'worker-1',
  nowMs,
  startedAtMs: nowMs - 90_000,
  phase: 'degraded',
  phaseSinceMs: nowMs - 65_000,
  phaseDetail: 'heartbeat: away',
  stake: { recordId: '0xrecord', stakeMist: '2000000000' },
  token: { tokenId: '0xtoken', epoch: '131', expiresAtEpoch: '155' },
  gateway: {
    nodeId: 'worker-1',
    recordId: '0xrecord',
    sealTokenId: '0xtoken',
    gatewayId: '0xgateway',
    gatewayUrl: 'https://gateway.example.com:8443',
    gatewayTier: 'premium',
    incarnation: 3,
    heartbeatIntervalMs: 10_000,
    hasJoinCredential: false,
    gatewayEvidence: 'sev-snp',
    machineEvidence: 'none: it shows no evidence of its machine',
    registeredAtMs: nowMs - 3_600_000,
  },
  agent: { kind: 'ready', pid: 42 },
  heartbeat: { acknowledgedAtMs: nowMs - 70_000, failures: 2, lastFailure: 'the gateway does not answer' },
  runningPods: 7,
  usage: { cpuPercent: 12, memoryPercent: 34, diskPercent: 56 },
  health: {
    started: true,
    live: true,
    ready: false,
    details: {
      host: { live: true, ready: true, detail: 'degraded' },
      heartbeat: { live: true, ready: false, detail: 'away' },
    },
  },
  attention: [
    {
      kind: 'gas_low',
      severity: 'warning',
      summary: 'little SUI',
      remedy: 'send SUI',
      sinceMs: nowMs - 7_200_000,
    },
  ],
};

test('one screen says life-cycle, stake, token, gateway, agent, heartbeat, pods, plugins, and what needs you', () => {
  expect(statusScreen({ running: true, status }, plain)).toBe(
    `worker-1  degraded for 1 min 5 s: heartbeat: away

stake      2 SUI, record 0xrecord
token      ends in 24 epochs (now 131, ends at 155), 0xtoken
gateway    https://gateway.example.com:8443 (tier premium), registration 3, 1 h ago
evidence   gateway: sev-snp; this machine: none: it shows no evidence of its machine
agent      ready, pid 42
heartbeat  acknowledged 1 min 10 s ago; 2 failed since: the gateway does not answer
pods       7
machine    CPU 12 %, memory 34 %, disk 56 %

host       ok         degraded
heartbeat  not ready  away

Needs you
warning  little SUI (gas_low, for 2 h)
          send SUI`,
  );
});

test('a host that has only begun says what it does not know yet', () => {
  const { stake: _s, token: _t, gateway: _g, agent: _a, heartbeat: _h, ...begun } = status;
  const text = statusScreen(
    {
      running: true,
      status: { ...begun, agent: undefined, gateway: undefined, heartbeat: undefined, attention: [] },
    },
    plain,
  );
  expect(text).toContain('stake      not known yet');
  expect(text).toContain('agent      not made yet');
  expect(text).toContain('Nothing needs you.');
});

test('what others wrote draws nothing on the terminal', () => {
  const evil = { ...status, phaseDetail: 'a\u001b[2Jb' };
  expect(statusScreen({ running: true, status: evil }, plain)).not.toContain('\u001b[2J');
});

const offline = {
  nodeId: 'worker-1',
  stateDir: '/var/lib/k3s-daas',
  healthUrl: 'http://127.0.0.1:8445',
  problem: 'fetch failed',
  pid: undefined,
  agentPid: 99,
  recordId: '0xrecord',
  latch: undefined,
};

test.each([
  [{}, 'the host does not run', 'systemctl start k3s-agent'],
  [{ pid: 5 }, 'the host (pid 5) does not answer', 'journalctl'],
  [{ latch: 'slashed: mined' }, 'slashed: mined', 'the node is locked out'],
])('while the host is down, its files say what is the case: %j', (changes, state, remedy) => {
  const text = statusScreen({ running: false, offline: { ...offline, ...changes } }, plain);
  expect(text).toContain(state);
  expect(text).toContain(remedy);
  expect(text).toContain('k3s runs without it, pid 99');
});

test.each([
  [0, '0 s'],
  [59_999, '59 s'],
  [3_600_000, '1 h'],
  [90_061_000, '1 d 1 h'],
])('%i ms is %s', (ms, text) => {
  expect(span(ms)).toBe(text);
});

test('a frame is as large as the terminal: longer lines are cut, and colours take no room', () => {
  const drawn = frame('\u001b[1mabcdef\u001b[22m\ntwo\nthree', { columns: 4, rows: 3 });
  expect(drawn).toBe('\u001b[H\u001b[1mabcd\u001b[22m\u001b[K\r\ntwo\u001b[K\r\n\u001b[J');
  expect(frame('text', { columns: 0, rows: 0 })).toContain('text');
});

test('the live screen is drawn again and again, and gives the terminal back when q is pressed', async () => {
  const written: string[] = [];
  const keys = new EventEmitter();
  const raw: boolean[] = [];
  const stdin = Object.assign(keys, {
    setRawMode: (mode: boolean) => raw.push(mode),
    pause: () => undefined,
    resume: () => undefined,
  });
  let draws = 0;
  const showing = liveScreen(async () => `frame ${++draws}`, {
    stdout: { write: (text: string) => written.push(text) > 0, columns: 80, rows: 24 } as never,
    stdin: stdin as never,
    intervalMs: 1,
    signal: new AbortController().signal,
  });
  await vi.waitFor(() => expect(draws).toBeGreaterThan(2));
  keys.emit('data', Buffer.from('q'));
  await showing;
  expect(written[0]).toContain('[?1049h');
  expect(written.at(-1)).toContain('[?1049l');
  expect(raw).toEqual([true, false]);
  expect(keys.listenerCount('data')).toBe(0);
});
