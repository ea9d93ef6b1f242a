import { readFileSync } from 'node:fs';

const states: Readonly<Record<string, string>> = {
  '01': 'established',
  '03': 'syn-received',
  '04': 'fin-wait-1',
  '05': 'fin-wait-2',
  '08': 'close-wait',
  '09': 'last-ack',
  '0B': 'closing',
};

/**
 * The connections of a listening port on loopback by state, as the kernel counts them: those a process has forgotten count
 * too. Only those with peers other than 127.0.0.1, which is where honest clients come from.
 */
export function strangersSockets(port: number): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local = '', peer = '', state = ''] = line.trim().split(/\s+/);
    const name = states[state];
    if (!name || Number.parseInt(local.split(':')[1] ?? '', 16) !== port || peer.startsWith('0100007F'))
      continue;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

export function totalOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
