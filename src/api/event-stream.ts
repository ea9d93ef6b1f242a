import type { IncomingMessage } from 'node:http';
import type { GatewayEntry } from '#domain';
import type { EventsRequest } from '#plugin';
import { type Machine, PROOF_HEADER, type ProofSigner } from '#seal';
import type { GatewayTime } from './gateway-time.ts';
import type { HttpReply, Transport } from './transport.ts';
import { PATHS } from './wire.ts';

/** The gateway sends something at least every 15 s. */
const silenceMs = 45_000;
/** An event has some hundred characters. */
const longestEvent = 8 * 1024;

/** Listens until the stream ends. Resolves with the refusal when the gateway opens none. */
export async function listen(
  {
    gateway,
    signer,
    transport,
    time,
    machine,
  }: {
    readonly gateway: GatewayEntry;
    readonly signer: ProofSigner;
    readonly transport: Pick<Transport, 'stream'>;
    readonly time: Pick<GatewayTime, 'nowMs'>;
    readonly machine: Machine | undefined;
  },
  { challenge: { nonce }, sealTokenId, onOpen, onChange }: EventsRequest,
  signal: AbortSignal,
): Promise<HttpReply | undefined> {
  const sealToken = await signer.sign({
    sealTokenId,
    freshness: { kind: 'nonce', nonce },
    audience: gateway.id,
    method: 'GET',
    path: PATHS.events,
    body: '',
    nowMs: time.nowMs(),
    machine,
  });
  const headers = { accept: 'text/event-stream', [PROOF_HEADER]: sealToken };
  const answer = await transport.stream({ method: 'GET', path: PATHS.events, headers, signal });
  if ('body' in answer) return answer;
  onOpen();
  await readEvents(answer, onChange);
  return undefined;
}

/**
 * Reads server-sent events (WHATWG HTML, 9.2.6) until the stream ends. Calls back for each event `record`; others, and comments,
 * are passed over. Never rejects: how it ended says nothing.
 */
async function readEvents(stream: IncomingMessage, onRecord: () => void): Promise<void> {
  let text = '';
  const timer = setTimeout(() => stream.destroy(), silenceMs);
  stream.setEncoding('utf8');
  try {
    for await (const part of stream) {
      timer.refresh();
      text += String(part);
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) if (event.split('\n').includes('event: record')) onRecord();
      if (text.length > longestEvent) return;
    }
  } catch {
    // The connection was lost, or the caller has enough.
  } finally {
    clearTimeout(timer);
    stream.destroy();
  }
}
