import { createServer } from 'node:http';
import { GrpcStatusCode, GrpcTypes } from '@mysten/sui/grpc';
import { executionService } from './execution-service.ts';
import { GrpcWebServer, type Handlers, type UnaryHandler } from './grpc-web.ts';
import type { EpochRecord, Ledger } from './ledger.ts';
import { ledgerService } from './ledger-service.ts';
import { listen } from './listener.ts';
import type { StoredObject } from './objects.ts';
import { RpcStatus } from './rpc-error.ts';
import { stateService } from './state-service.ts';
import { Validators } from './validators.ts';

/** What a full node says that is not so. All of it can be changed while the node runs. */
export interface Lies {
  /**
   * In place of an object's newest version: another one, forged or of before, or `absent`. The tips stay those of the
   * chain: a change is hidden behind them.
   */
  readonly objects: Map<string, StoredObject | 'absent'>;
  /** Objects of which no version newer than the one above is shown, whoever names it. */
  readonly withheld: Set<string>;
  /** Transactions are refused, as by a node that is overloaded. */
  refusesTransactions: boolean;
  /** Checkpoints are signed by validators that this chain does not have. */
  isSignedByOthers: boolean;
  /** Epochs whose last checkpoint is that of the next one. */
  readonly skippedEpochs: Set<bigint>;
  /** Transactions and checkpoints below are gone. */
  prunedBelow: bigint;
  /** The tip that it names, as a node does that has fallen behind. */
  tip: bigint | undefined;
  /** HTTP 429 to everything, with this `Retry-After`. */
  busyForSeconds: number | undefined;
}

/** A full node of a dev chain that lies. */
export interface LyingNode extends AsyncDisposable {
  readonly url: string;
  readonly lies: Lies;
  /** From now on it tells the truth. */
  beHonest(): void;
}

/** Serves the chain of a running dev chain, with lies. */
export async function startLyingNode(ledger: Ledger): Promise<LyingNode> {
  const lies: Lies = {
    objects: new Map(),
    withheld: new Set(),
    skippedEpochs: new Set(),
    ...noLies(),
  };
  const view = lyingView(ledger, lies);
  const rpc = new GrpcWebServer({
    services: [
      [GrpcTypes.LedgerService, ledgerService(view)],
      [GrpcTypes.StateService, stateService(ledger)],
      [GrpcTypes.TransactionExecutionService, lyingExecution(ledger, lies)],
    ],
    headers: () => headersOf(ledger, lies),
    middleware: undefined,
  });
  const server = createServer((request, response) => {
    if (lies.busyForSeconds !== undefined)
      return void response.writeHead(429, { 'retry-after': String(lies.busyForSeconds) }).end();
    void rpc.handle(request, response);
  });
  const listener = await listen(server, '127.0.0.1', 0);
  return {
    url: listener.url,
    lies,
    beHonest() {
      lies.objects.clear();
      lies.withheld.clear();
      lies.skippedEpochs.clear();
      Object.assign(lies, noLies());
    },
    [Symbol.asyncDispose]: listener.close,
  };
}

/** Transactions are carried out in truth, or refused. */
function lyingExecution(ledger: Ledger, lies: Lies): Handlers {
  const { ExecuteTransaction: execute, ...others } = executionService(ledger);
  return {
    ...others,
    ExecuteTransaction: ((...call) => {
      if (lies.refusesTransactions) throw new RpcStatus(GrpcStatusCode.UNAVAILABLE, 'overloaded');
      return (execute as UnaryHandler)(...call);
    }) satisfies UnaryHandler,
  };
}

function noLies() {
  return {
    refusesTransactions: false,
    isSignedByOthers: false,
    prunedBelow: 0n,
    tip: undefined,
    busyForSeconds: undefined,
  };
}

/** The chain as this node shows it. */
function lyingView(ledger: Ledger, lies: Lies): Ledger {
  const foreign = new Validators('others');
  const shown = (id: string) => {
    const lie = lies.objects.get(id);
    return lie === 'absent' ? undefined : (lie ?? ledger.objects.get(id));
  };
  const lying: Partial<Record<string | symbol, () => unknown>> = {
    object: () => shown,
    objects: () => ({
      get: shown,
      at: (id: string, version: bigint) => {
        const lie = lies.objects.get(id);
        if (lies.withheld.has(id) && lie !== 'absent' && lie !== undefined && version > lie.version)
          return undefined;
        return lie !== undefined && lie !== 'absent' && lie.version === version
          ? lie
          : ledger.objects.at(id, version);
      },
    }),
    transactions: () => ({
      get: (digest: string) => {
        const found = ledger.transactions.get(digest);
        return found && found.checkpoint >= lies.prunedBelow ? found : undefined;
      },
      values: () =>
        [...ledger.transactions.values()].filter(({ checkpoint }) => checkpoint >= lies.prunedBelow),
    }),
    checkpoints: () =>
      ledger.checkpoints.map((checkpoint) =>
        checkpoint.sequenceNumber >= lies.prunedBelow ? checkpoint : undefined,
      ),
    epochs: () => ledger.epochs.map((record) => epochOf(record, ledger, lies)),
    validators: () => (lies.isSignedByOthers ? foreign : ledger.validators),
  };
  return new Proxy(ledger, {
    get(target, key) {
      const lie = lying[key];
      if (lie) return lie();
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

function epochOf(record: EpochRecord, ledger: Ledger, { skippedEpochs }: Lies): EpochRecord {
  const next = ledger.epochs[Number(record.epoch) + 1]?.lastCheckpoint;
  return skippedEpochs.has(record.epoch) && next !== undefined ? { ...record, lastCheckpoint: next } : record;
}

function headersOf(ledger: Ledger, { tip, prunedBelow }: Lies): Record<string, string> {
  const shown = (tip !== undefined && ledger.checkpoints[Number(tip)]) || ledger.tip;
  return {
    'x-sui-chain-id': ledger.chainId,
    'x-sui-checkpoint-height': String(shown.sequenceNumber),
    'x-sui-timestamp-ms': String(shown.timestampMs),
    'x-sui-lowest-available-checkpoint': String(prunedBelow),
  };
}
