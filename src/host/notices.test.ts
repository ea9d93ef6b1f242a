import { FakeClock, RecordingLog } from 'k3s-daas/plugin/testing';
import { beforeEach, expect, test } from 'vitest';
import { DaasError } from '#base';
import type { Notice, SentNotice } from '#plugin';
import { type Attention, followAttention } from './attention.ts';
import { createEventBus, type HostEventBus } from './events.ts';
import { raiseHostEnded, raiseLifeNotices } from './life-notices.ts';
import { type NamedNotifier, NoticeDelivery } from './notice-delivery.ts';

const hour = 3_600_000;
const notice: Notice = { kind: 'gas_low', severity: 'warning', summary: 'low', remedy: 'send SUI' };

let clock: FakeClock;
let log: RecordingLog;
let events: HostEventBus;
let told: SentNotice[];
let attention: Attention;
beforeEach(() => {
  clock = new FakeClock();
  log = new RecordingLog();
  events = createEventBus(log);
  told = [];
  attention = followAttention({ events, clock, nodeId: 'worker-1' }, (sent) => told.push(sent));
});

test('a notice is told once, again when it is worse or half a day has passed, and when it ends', async () => {
  for (let hours = 0; hours < 13; hours += 1) {
    events.emit('attention.needed', notice);
    await clock.advance(hour, hour);
  }
  expect(told.map(({ state }) => state)).toEqual(['raised', 'repeated']);
  events.emit('attention.needed', { ...notice, severity: 'critical' });
  expect(told.at(-1)).toMatchObject({ state: 'repeated', severity: 'critical', nodeId: 'worker-1' });
  expect(attention.open()).toMatchObject([{ severity: 'critical', sinceMs: Date.UTC(2026, 0, 1) }]);
  events.emit('attention.ended', { kind: 'gas_low' });
  events.emit('attention.ended', { kind: 'gas_low' });
  expect(told.filter(({ state }) => state === 'ended')).toHaveLength(1);
  expect(attention.open()).toEqual([]);
});

test('several of a kind are told apart by their subject', () => {
  for (const subject of ['0xa', '0xb']) events.emit('attention.needed', { ...notice, subject });
  events.emit('attention.ended', { kind: 'gas_low', subject: '0xa' });
  expect(attention.open()).toMatchObject([{ subject: '0xb' }]);
});

test('an agent that is not Ready for five minutes is told, one that comes back in time is not', async () => {
  raiseLifeNotices({ events, clock, signal: new AbortController().signal });
  const change = (from: 'ready' | 'starting', to: 'ready' | 'starting') =>
    events.emit('agent.state.changed', { from, to });
  change('ready', 'starting');
  await clock.advance(4 * 60_000);
  change('starting', 'ready');
  await clock.advance(10 * 60_000);
  expect(told).toEqual([]);
  change('ready', 'starting');
  await clock.advance(6 * 60_000);
  expect(told).toMatchObject([{ kind: 'agent_not_ready', state: 'raised' }]);
  change('starting', 'ready');
  expect(told.at(-1)).toMatchObject({ kind: 'agent_not_ready', state: 'ended' });
});

test('an eviction and the end of a host are told with their reason', () => {
  raiseLifeNotices({ events, clock, signal: new AbortController().signal });
  events.emit('stake.ended', { recordId: '0xrecord', status: 'banned', source: 'gateway' });
  raiseHostEnded(events, { exitCode: 77, error: new Error('out') });
  expect(told).toMatchObject([
    { kind: 'evicted', severity: 'critical', summary: 'the node is out: banned' },
    { kind: 'host_ended', summary: 'the host ends with exit code 77: out' },
  ]);
});

const sent: SentNotice = { ...notice, nodeId: 'worker-1', sinceMs: 0, state: 'raised' };
const delivery = () => new NoticeDelivery({ clock, log, random: () => 1 });
const named = (plugin: string, notify: NamedNotifier['notifier']['notify']): NamedNotifier => ({
  plugin,
  notifier: { notify },
});

test('what is told before the notifiers are known waits for them, and none is delayed by another', async () => {
  const notices = delivery();
  notices.tell({ ...sent, kind: 'early' });
  const taken: string[] = [];
  notices.deliverTo([
    named('hangs', () => new Promise(() => undefined)),
    named('takes', async ({ kind }) => void taken.push(kind)),
  ]);
  notices.tell({ ...sent, kind: 'late' });
  await clock.advance(1);
  expect(taken).toEqual(['early', 'late']);
});

test('a notifier that fails is asked again, five times at most, and told to stop after ten seconds', async () => {
  const notices = delivery();
  let failures = 0;
  let aborted = 0;
  notices.deliverTo([
    named('fails', async () => {
      failures += 1;
      throw new Error('away');
    }),
    named('hangs', (_notice, signal) => {
      signal.addEventListener('abort', () => {
        aborted += 1;
      });
      return new Promise(() => undefined);
    }),
  ]);
  notices.tell(sent);
  await clock.advance(10 * 60_000);
  expect({ failures, aborted }).toEqual({ failures: 5, aborted: 5 });
  expect(log.messages('warn')).toContain('A notice could not be delivered');
});

test('a notice is not sent again when its error says that this is of no use', async () => {
  const notices = delivery();
  let attempts = 0;
  notices.deliverTo([
    named('refuses', async () => {
      attempts += 1;
      throw new DaasError('DAAS_FILE_UNTRUSTED', 'others can write it');
    }),
  ]);
  notices.tell(sent);
  await clock.advance(10 * 60_000);
  expect(attempts).toBe(1);
});

test('an endless stream of notices is bounded, and the newest are kept', async () => {
  const notices = delivery();
  const taken: string[] = [];
  const gate = Promise.withResolvers<void>();
  notices.deliverTo([
    named('slow', async ({ kind }) => {
      await gate.promise;
      taken.push(kind);
    }),
  ]);
  for (let index = 0; index < 250; index += 1) notices.tell({ ...sent, kind: `kind-${index}` });
  gate.resolve();
  await clock.advance(1);
  expect(taken).toHaveLength(101);
  expect(taken.at(-1)).toBe('kind-249');
});

test('an ending host waits for what it has to tell, five seconds at most', async () => {
  const notices = delivery();
  notices.deliverTo([named('hangs', () => new Promise(() => undefined))]);
  notices.tell(sent);
  let isFlushed = false;
  const flushing = notices.flush().then(() => {
    isFlushed = true;
  });
  await clock.advance(4_000);
  expect(isFlushed).toBe(false);
  await clock.advance(1_000);
  await flushing;
  expect(clock.sleepers).toBe(0);
});
