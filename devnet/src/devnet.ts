import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { GrpcTypes } from '@mysten/sui/grpc';
import { fromBase64 } from './base64.ts';
import { ChainTime } from './chain-time.ts';
import { type Clock, systemClock } from './clock.ts';
import { type ChainControl, type ControlTargets, handleControl } from './control.ts';
import { DevnetError } from './errors.ts';
import { executionService } from './execution-service.ts';
import { Faucet, type GivenCoin } from './faucet.ts';
import { GrpcWebServer, type Middleware } from './grpc-web.ts';
import { sendJson } from './http-json.ts';
import { Ledger } from './ledger.ts';
import { ledgerService } from './ledger-service.ts';
import { tellLies } from './lies-order.ts';
import { listen } from './listener.ts';
import { type LyingNode, startLyingNode } from './lying-node.ts';
import { packageService } from './package-service.ts';
import { missingFrameworkFunctions } from './packages.ts';
import { stateService } from './state-service.ts';
import { subscriptionService } from './subscription-service.ts';

export interface DevnetOptions {
  /** Default 127.0.0.1 and a free port. */
  readonly listen?: { readonly host?: string; readonly port?: number };
  /** Real time by default; `freezeClock` and `advanceClock` work on top of it. */
  readonly clock?: Clock;
  /** Base64 by name (contracts/build): refused at once if this chain could not execute them. */
  readonly modules?: Readonly<Record<string, string>>;
  /**
   * How often a checkpoint comes without a transaction, so that the Clock goes on and streams show they live.
   * 0: only transactions and the control make checkpoints. Default one second.
   */
  readonly checkpointIntervalMs?: number;
  /** What the chain says an epoch lasts; epochs end by `advanceEpoch` only. Default one day. */
  readonly epochDurationMs?: number;
  /** Sees every call before it is answered. */
  readonly middleware?: Middleware;
}

/** A running development chain. */
export interface Devnet extends ChainControl, AsyncDisposable {
  /** Base URL for `SuiGrpcClient`, and for `requestSuiFromFaucetV2`. */
  readonly url: string;
  /** Takes `POST {"FixedAmountRequest": {"recipient": "0x…"}}`, as the faucet of a Sui localnet does. */
  readonly faucetUrl: string;
  /** Base URL of the control over HTTP; answers to this machine only. */
  readonly controlUrl: string;
  /** Base58 digest of the genesis checkpoint: another one with every start. */
  readonly chainId: string;
  readonly faucetAddress: string;
  /** Sends SUI (200 by default) to an address as one new coin. */
  faucet(address: string, mist?: bigint): Promise<GivenCoin>;
  /** The state itself, for tests that look behind the wire. */
  readonly ledger: Ledger;
  close(): Promise<void>;
}

const TREASURY_MIST = 5_000_000_000_000_000_000n;
const FAUCET_PATH = '/v2/gas';
const CONTROL_PATH = '/devnet';
const DAY_MS = 86_400_000;

/**
 * Starts a development chain: a server that speaks Sui's gRPC-web protocol, with its state in memory.
 *
 * It is a tool for development and tests: one process, no consensus, no bytecode verifier, everything gone at its end.
 */
export async function startDevnet(options: DevnetOptions = {}): Promise<Devnet> {
  checkModules(options.modules);
  const clock = options.clock ?? systemClock;
  const time = new ChainTime(clock);
  const faucet = new Faucet();
  const ledger = new Ledger({
    time,
    seed: randomUUID(),
    epochDurationMs: options.epochDurationMs ?? DAY_MS,
    treasury: { address: faucet.address, mist: TREASURY_MIST },
  });
  faucet.connect(ledger);
  const control = controlOf(ledger, time);
  const liar = lazyLiar(ledger);
  const targets = { control, faucet, lie: liar.lie };
  const rpc = new GrpcWebServer({
    services: [
      [GrpcTypes.LedgerService, ledgerService(ledger)],
      [GrpcTypes.StateService, stateService(ledger)],
      [GrpcTypes.TransactionExecutionService, executionService(ledger)],
      [GrpcTypes.MovePackageService, packageService(ledger)],
      [GrpcTypes.SubscriptionService, subscriptionService(ledger)],
      [GrpcTypes.NameService, {}],
      [GrpcTypes.SignatureVerificationService, {}],
      [GrpcTypes.ForkingService, {}],
    ],
    headers: () => chainHeaders(ledger),
    middleware: options.middleware,
  });
  const server = createServer((request, response) => {
    void answer(request, response, rpc, targets);
  });
  const listener = await listen(server, options.listen?.host ?? '127.0.0.1', options.listen?.port ?? 0);
  const stopTicking = keepTicking(ledger, clock, options.checkpointIntervalMs ?? 1_000);

  let closing: Promise<void> | undefined;
  const close = () => {
    stopTicking();
    closing ??= Promise.all([listener.close(), liar.close()]).then(() => undefined);
    return closing;
  };
  return {
    ...control,
    url: listener.url,
    faucetUrl: `${listener.url}${FAUCET_PATH}`,
    controlUrl: `${listener.url}${CONTROL_PATH}`,
    chainId: ledger.chainId,
    faucetAddress: faucet.address,
    faucet: (address, mist) => faucet.give(address, mist),
    ledger,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkModules(modules: DevnetOptions['modules']): void {
  const missing = missingFrameworkFunctions(Object.values(modules ?? {}).map((module) => fromBase64(module)));
  if (missing.length === 0) return;
  throw new DevnetError(
    'DAAS_DEVNET_FRAMEWORK',
    `the dev chain cannot execute these modules: they call ${missing.join(', ')}, which it does not have`,
    { details: { missing } },
  );
}

function controlOf(ledger: Ledger, time: ChainTime): ChainControl {
  return {
    advanceClock(byMs) {
      time.advance(byMs);
      ledger.tick();
    },
    freezeClock() {
      time.freeze();
    },
    thawClock() {
      time.thaw();
    },
    advanceEpoch() {
      ledger.advanceEpoch();
    },
    status: () => ({
      chainId: ledger.chainId,
      epoch: String(ledger.epoch),
      checkpoint: String(ledger.tip.sequenceNumber),
      timestampMs: ledger.nowMs(),
      transactions: ledger.transactions.size,
    }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  rpc: GrpcWebServer,
  targets: ControlTargets,
): Promise<void> {
  const { control, faucet } = targets;
  const path = (request.url ?? '').split('?')[0] ?? '';
  if (await rpc.handle(request, response)) return;
  if (path === '/health') sendJson(response, 200, { status: 'ok', ...control.status() });
  else if (request.method === 'POST' && path === FAUCET_PATH) await faucet.handle(request, response);
  else if (path.startsWith(`${CONTROL_PATH}/`)) await handleControl(targets, request, response);
  else sendJson(response, 404, { error: `there is no ${request.method} ${path}` });
}

/** A second node on a port of its own, which lies as it is told; started with the first lie. */
function lazyLiar(ledger: Ledger): { lie: ControlTargets['lie']; close: () => Promise<void> } {
  let starting: Promise<LyingNode> | undefined;
  return {
    async lie(order) {
      starting ??= startLyingNode(ledger);
      const node = await starting;
      tellLies(node, ledger, order);
      return node.url;
    },
    close: async () => (await starting)?.[Symbol.asyncDispose](),
  };
}

/** What a node says of the chain with every answer. */
function chainHeaders(ledger: Ledger): Record<string, string> {
  const { tip } = ledger;
  return {
    'x-sui-chain-id': ledger.chainId,
    'x-sui-chain': 'unknown',
    'x-sui-epoch': String(ledger.epoch),
    'x-sui-checkpoint-height': String(tip.sequenceNumber),
    'x-sui-timestamp': new Date(tip.timestampMs).toISOString(),
    'x-sui-timestamp-ms': String(tip.timestampMs),
    'x-sui-lowest-available-checkpoint': '0',
    'x-sui-lowest-available-checkpoint-objects': '0',
  };
}

/** Makes empty checkpoints at an interval; returns how to stop. */
function keepTicking(ledger: Ledger, clock: Clock, intervalMs: number): () => void {
  const stopped = new AbortController();
  const tick = async () => {
    while (intervalMs > 0) {
      await clock.sleep(intervalMs, stopped.signal);
      ledger.tick();
    }
  };
  // Ends by the signal alone.
  tick().catch(() => undefined);
  return () => {
    stopped.abort();
  };
}
