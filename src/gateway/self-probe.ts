import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { isPinned, spkiPin, TLS_MINIMUM } from '#api';
import { type Clock, messageOf } from '#base';

/** On the public port: answers 200 to any client. */
export const LIVE_PATH = '/livez';

export interface PortHealth {
  readonly isOk: boolean;
  readonly detail: string;
}

export interface SelfProbeOptions {
  readonly host: string;
  readonly port: number;
  /** PEM of the certificate that must be served now. */
  readonly cert: () => string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

/** The port is tried no more often than this, however often readiness is asked for. */
const freshMs = 1_000;

/** Tries the public port as a worker would: a new connection, TLS, the gateway's own key, one request. */
export function createSelfProbe(options: SelfProbeOptions): () => Promise<PortHealth> {
  const { clock } = options;
  let latest: { readonly atMs: number; readonly health: Promise<PortHealth> } | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    if (!latest || nowMs - latest.atMs >= freshMs) latest = { atMs: nowMs, health: probe(options) };
    return latest.health;
  };
}

async function probe({ host, port, cert, timeoutMs = 2_000 }: SelfProbeOptions): Promise<PortHealth> {
  const startedAtMs = performance.now();
  try {
    await ask(host, port, cert(), timeoutMs);
    return { isOk: true, detail: `answers over TLS in ${Math.round(performance.now() - startedAtMs)} ms` };
  } catch (error) {
    return { isOk: false, detail: `a new connection is not served: ${messageOf(error)}` };
  }
}

function ask(host: string, port: number, cert: string, timeoutMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => call.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const call = request(
    { host, port, path: LIVE_PATH, agent: false, minVersion: TLS_MINIMUM, rejectUnauthorized: false },
    (reply) => {
      reply.resume();
      if (reply.statusCode === 200) resolve();
      else reject(new Error(`HTTP ${reply.statusCode}`));
    },
  );
  call.once('socket', (socket) =>
    socket.once('secureConnect', () => {
      const served = (socket as TLSSocket).getPeerX509Certificate();
      if (!served || !isPinned(served, [spkiPin(cert)]))
        call.destroy(new Error('another TLS key answers there'));
    }),
  );
  call.once('error', reject);
  call.once('close', () => clearTimeout(timer));
  call.end();
  return promise;
}
