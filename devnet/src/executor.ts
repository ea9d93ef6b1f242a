import { normalizeSuiAddress } from '@mysten/sui/utils';
import type { ChainView, TransactionDataV1 } from './chain-view.ts';
import { type EncodedEffects, encodeEffects } from './effects.ts';
import { ExecutionFailure, failureOf } from './failure.ts';
import {
  computationCost,
  type GasCost,
  instructionLimit,
  MAX_GAS_BUDGET,
  REFERENCE_GAS_PRICE,
} from './gas.ts';
import {
  checkExpiration,
  checkGasSettings,
  type Gas,
  greatestVersion,
  type LoadedInputs,
  loadGas,
  loadInputs,
  programmable,
} from './inputs.ts';
import { coinBalance, encode, Machine } from './move/index.ts';
import type { StoredObject } from './objects.ts';
import type { PublishedPackage } from './packages.ts';
import { type Command, type CommandOutput, ProgrammableRun } from './programmable.ts';
import { RunCode } from './run-code.ts';
import {
  type Settled,
  type SettlementContext,
  settle,
  type Wanted,
  type WantedObject,
} from './settlement.ts';
import { type EmittedEvent, TransactionHost } from './transaction-host.ts';

export interface ExecutionOptions {
  /** False runs without the checks of gas, owners and visibility, as a simulation may. */
  readonly isChecked: boolean;
  /** Lends a gas coin that does not exist, for simulations of transactions without gas payment. */
  readonly mayMockGas: boolean;
}

/** What a transaction did, not yet done to the chain. */
export interface Outcome {
  readonly failure: ExecutionFailure | undefined;
  readonly cost: GasCost;
  readonly effects: EncodedEffects;
  readonly events: readonly EmittedEvent[];
  readonly packages: readonly PublishedPackage[];
  readonly commandOutputs: readonly CommandOutput[];
  /** Storage of the lent gas coin, in MIST; nothing when none was lent. */
  readonly mockGasStorage: bigint | undefined;
}

/**
 * Executes a transaction against the chain as it stands, without changing it.
 *
 * Throws an `InputError` for what a node refuses before execution; everything later (aborts included) is an outcome:
 * charged, with effects.
 */
export function executeTransaction(
  chain: ChainView,
  data: TransactionDataV1,
  digest: string,
  options: ExecutionOptions,
): Outcome {
  const { commands, inputs } = programmable(data);
  if (options.isChecked) {
    checkExpiration(chain, data);
    checkGasSettings(data);
  }
  const loaded = loadInputs(chain, data, inputs, commands, options.isChecked);
  const code = new RunCode(chain);
  const gas = loadGas(chain, data, digest, code, options);
  const lamport = 1n + greatestVersion(loaded, gas);
  return attempt({ chain, data, digest, loaded, gas, lamport, code, commands, isChecked: options.isChecked });
}

interface Run extends SettlementContext {
  readonly chain: ChainView;
  readonly loaded: LoadedInputs;
  readonly commands: readonly Command[];
}

function attempt(run: Run): Outcome {
  const { chain, data, gas, code, isChecked } = run;
  const price = BigInt(data.gasData.price);
  const budget = BigInt(data.gasData.budget);
  const sponsor = normalizeSuiAddress(data.gasData.owner);
  const host = new TransactionHost(
    {
      digest: run.digest,
      sender: normalizeSuiAddress(data.sender),
      sponsor: sponsor === normalizeSuiAddress(data.sender) ? undefined : sponsor,
      gasPrice: price,
      referenceGasPrice: REFERENCE_GAS_PRICE,
      epoch: chain.epoch,
      epochTimestampMs: BigInt(chain.epochStartMs),
    },
    code,
    chain,
    new Set([...run.loaded.objects].flatMap(([id, { access }]) => (access === 'shared-mutable' ? [id] : []))),
  );
  const machine = new Machine(
    code,
    host,
    instructionLimit(isChecked ? budget : MAX_GAS_BUDGET, price || REFERENCE_GAS_PRICE),
  );
  const reserved = isChecked ? budget : 0n;
  const program = new ProgrammableRun({
    inputs: run.loaded.arguments,
    gas: { object: gas.coin, access: 'owned' },
    gasValue: gas.total - reserved,
    machine,
    host,
    code,
    publisher: code,
    isChecked,
  });

  let failure: ExecutionFailure | undefined;
  try {
    program.run(run.commands);
    checkSharedInputs(host, program);
  } catch (error) {
    failure = failureOf(error);
    if (!failure) throw error;
  }
  const computation = computationCost(machine.executed, price);
  const common = { run, computation, commandOutputs: program.outputs };
  if (!failure) {
    const settled = settle({ ...common, wanted: collect(run, host, program, reserved) });
    if (settled)
      return outcome({ ...common, failure, settled, events: host.events, packages: code.published });
    failure = new ExecutionFailure({ InsufficientGas: true });
  }
  // What failed is paid for, and touches its mutable inputs, but changes nothing else.
  const settled =
    settle({ ...common, wanted: untouched(run) }) ??
    settle({ ...common, computation: budget, wanted: untouched(run), isStorageFree: true });
  if (!settled) throw new Error('the gas coin does not cover its own budget');
  return outcome({ ...common, failure, settled, events: [], packages: [] });
}

/** A shared object that was taken by value must be shared again, or be gone. */
function checkSharedInputs(host: TransactionHost, program: ProgrammableRun): void {
  for (const [id, { input, contents }] of program.inputsAfter()) {
    if (input.access !== 'shared-mutable' || contents || host.deletedIds.has(id)) continue;
    if (host.transfers.get(id)?.owner.kind !== 'shared')
      throw new ExecutionFailure({ SharedObjectOperationNotAllowed: true });
  }
}

/** After success: inputs as they stand now, what was transferred, and fields that changed. */
function collect(run: Run, host: TransactionHost, program: ProgrammableRun, reserved: bigint): Wanted {
  const written = new Map<string, WantedObject>();
  const before = new Map<string, StoredObject>(gasBefore(run.gas));
  for (const [id, { input, contents }] of program.inputsAfter()) {
    if (input.access === 'immutable' || input.access === 'shared-read-only') continue;
    before.set(id, input.object);
    if (contents)
      written.set(id, { kind: 'move', type: input.object.type, contents, owner: input.object.owner });
  }
  const children = host.childChanges();
  for (const [id, loaded] of children.loaded) before.set(id, loaded);
  for (const [id, { type, value, owner }] of [...host.transfers, ...children.written]) {
    // What is shared again stays shared since its first time.
    const since = before.get(id)?.owner;
    const kept = owner.kind === 'shared' && since?.kind === 'shared' ? since : owner;
    written.set(id, { kind: 'move', type, contents: encode(value, type, run.code), owner: kept });
  }
  for (const published of run.code.published) written.set(published.id, { kind: 'package', published });

  const gasId = run.gas.coin.id;
  const given = host.transfers.get(gasId);
  const left = program.gasValue ?? (given ? coinBalance(given.value) : 0n);
  return {
    written,
    created: host.createdIds,
    deleted: new Set([...host.deletedIds, ...run.gas.merged.map(({ id }) => id)]),
    before,
    gasOwner: given?.owner ?? run.gas.coin.owner,
    gasBalance: left + reserved,
  };
}

/** After a failure: every mutable input gets a new version and nothing else. */
function untouched(run: Run): Wanted {
  const written = new Map<string, WantedObject>();
  const before = new Map<string, StoredObject>(gasBefore(run.gas));
  for (const [id, { object, access }] of run.loaded.objects) {
    if (access === 'immutable' || access === 'shared-read-only') continue;
    before.set(id, object);
    written.set(id, { kind: 'move', type: object.type, contents: object.contents, owner: object.owner });
  }
  return {
    written,
    created: new Set(),
    deleted: new Set(run.gas.merged.map(({ id }) => id)),
    before,
    gasOwner: run.gas.coin.owner,
    gasBalance: run.gas.total,
  };
}

const gasBefore = (gas: Gas): [string, StoredObject][] =>
  [gas.coin, ...gas.merged].map((coin) => [coin.id, coin]);

function outcome({
  run,
  failure,
  settled,
  events,
  packages,
  commandOutputs,
}: {
  run: Run;
  failure: ExecutionFailure | undefined;
  settled: Settled;
  events: readonly EmittedEvent[];
  packages: readonly PublishedPackage[];
  commandOutputs: readonly CommandOutput[];
}): Outcome {
  const { loaded, gas } = run;
  const inputs = [...loaded.objects.values()];
  const effects = encodeEffects({
    failure,
    epoch: run.chain.epoch,
    cost: settled.cost,
    digest: run.digest,
    gasObjectId: gas.coin.id,
    events,
    dependencies: [
      ...inputs.map(({ object }) => object),
      ...loaded.packages,
      ...settled.changes.flatMap(({ before }) => before ?? []),
    ].map(({ previousTransaction }) => previousTransaction),
    lamport: run.lamport,
    changes: settled.changes,
    readOnlyShared: inputs.flatMap(({ object, access }) => (access === 'shared-read-only' ? [object] : [])),
  });
  const mock = gas.isMock ? settled.changes.find(({ id }) => id === gas.coin.id)?.after : undefined;
  return {
    failure,
    cost: settled.cost,
    effects,
    events,
    packages,
    commandOutputs,
    mockGasStorage: mock?.storageRebate,
  };
}
