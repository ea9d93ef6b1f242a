import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { messageOf } from './errors.ts';
import { FAUCET_MIST, type Faucet } from './faucet.ts';
import { readJson, sendJson } from './http-json.ts';
import { LiesOrder } from './lies-order.ts';

/** What can be changed by hand on a dev chain: its time and its epoch. */
export interface ChainControl {
  /** Moves the chain's clock forward, and makes a checkpoint. Throws a `RangeError` for a negative number. */
  advanceClock(byMs: number): void;
  /** From now on only `advanceClock` moves the clock. */
  freezeClock(): void;
  thawClock(): void;
  /** Ends the epoch. */
  advanceEpoch(): void;
  status(): ChainStatus;
}

/** Who acts on what the control is sent. */
export interface ControlTargets {
  readonly control: ChainControl;
  readonly faucet: Faucet;
  /** Starts the lying node, if there is none yet, and has it lie; returns its URL. */
  readonly lie: (order: z.infer<typeof LiesOrder>) => Promise<string>;
}

/** The chain now. Numbers that exceed 53 bits are text. */
export interface ChainStatus {
  readonly chainId: string;
  readonly epoch: string;
  /** The number of the last checkpoint. */
  readonly checkpoint: string;
  readonly timestampMs: number;
  /** How many transactions there are. */
  readonly transactions: number;
}

const ClockOrder = z.strictObject({
  advanceMs: z.int().nonnegative().optional(),
  freeze: z.boolean().optional(),
});
const FaucetOrder = z.strictObject({
  recipient: z.string(),
  mist: z.union([z.string(), z.int()]).optional(),
});

/**
 * The same over HTTP, from this machine only:
 * `GET /devnet/status`, `POST /devnet/clock {advanceMs? , freeze?}`, `POST /devnet/epoch`,
 * `POST /devnet/faucet {recipient, mist?}`, `POST /devnet/lies {…}`.
 */
export async function handleControl(
  targets: ControlTargets,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!isLoopback(request.socket.remoteAddress)) {
    sendJson(response, 403, { error: 'the control answers requests from its own machine only' });
    return;
  }
  // Keeps out web pages in a browser of this machine: this content type makes the browser ask for permission first (CORS).
  if (request.method === 'POST' && !request.headers['content-type']?.startsWith('application/json')) {
    sendJson(response, 415, { error: 'send content-type: application/json' });
    return;
  }
  try {
    const path = `${request.method} ${(request.url ?? '').split('?')[0]}`;
    const body = request.method === 'POST' ? await readJson(request) : {};
    if (!(await act(path, body, targets, response)))
      sendJson(response, 404, { error: `there is no ${path}` });
  } catch (error) {
    sendJson(response, 400, { error: messageOf(error) });
  }
}

async function act(
  path: string,
  body: unknown,
  { control, faucet, lie }: ControlTargets,
  response: ServerResponse,
): Promise<boolean> {
  switch (path) {
    case 'GET /devnet/status':
      break;
    case 'POST /devnet/clock': {
      const { advanceMs, freeze } = ClockOrder.parse(body);
      if (freeze === true) control.freezeClock();
      if (freeze === false) control.thawClock();
      if (advanceMs !== undefined) control.advanceClock(advanceMs);
      break;
    }
    case 'POST /devnet/epoch':
      control.advanceEpoch();
      break;
    case 'POST /devnet/faucet': {
      const { recipient, mist } = FaucetOrder.parse(body);
      sendJson(response, 200, await faucet.give(recipient, mist === undefined ? FAUCET_MIST : BigInt(mist)));
      return true;
    }
    case 'POST /devnet/lies':
      sendJson(response, 200, { url: await lie(LiesOrder.parse(body)) });
      return true;
    default:
      return false;
  }
  sendJson(response, 200, control.status());
  return true;
}

const isLoopback = (address: string | undefined): boolean =>
  address === '::1' || address?.replace(/^::ffff:/, '').startsWith('127.') === true;
