import { bcs } from '@mysten/sui/bcs';
import { GrpcTypes } from '@mysten/sui/grpc';
import { TransactionDataBuilder } from '@mysten/sui/transactions';
import type { TransactionDataV1 } from './chain-view.ts';
import { messageOf } from './errors.ts';
import type { Outcome } from './executor.ts';
import { argumentFailure, ExecutionFailure } from './failure.ts';
import { estimateBudget, MAX_GAS_BUDGET, REFERENCE_GAS_PRICE } from './gas.ts';
import type { Handlers } from './grpc-web.ts';
import type { Ledger } from './ledger.ts';
import { checkLimits } from './limits.ts';
import { applyMask, readMask, subMask } from './read-mask.ts';
import { renderExecuted, renderOutcome } from './render-transaction.ts';
import { checkCalledFunctions, resolveTransaction, selectGas } from './resolve.ts';
import {
  executionStatus,
  fieldInvalid,
  fieldMissing,
  InputError,
  invalidArgument,
  simulationStatus,
} from './rpc-error.ts';
import { verifySignatures } from './signatures.ts';
import { argumentToProto, transactionToProto } from './transaction-proto.ts';

export function executionService(ledger: Ledger): Handlers {
  return {
    ExecuteTransaction: (request: GrpcTypes.ExecuteTransactionRequest) => execute(ledger, request),
    SimulateTransaction: (request: GrpcTypes.SimulateTransactionRequest) => simulate(ledger, request),
  };
}

async function execute(
  ledger: Ledger,
  request: GrpcTypes.ExecuteTransactionRequest,
): Promise<GrpcTypes.ExecuteTransactionResponse> {
  if (!request.transaction) throw fieldMissing('transaction');
  const mask = readMask(request.readMask, 'effects', GrpcTypes.ExecutedTransaction);
  const { bytes, data } = parseTransaction(request.transaction);
  const signatures = request.signatures.map(({ bcs: signature }, index) => {
    if (!signature?.value) throw fieldInvalid(`signatures[${index}]`, 'invalid signature: missing bcs');
    return signature.value;
  });
  await verifySignatures(bytes, data, signatures);
  const digest = TransactionDataBuilder.getDigestFromBytes(bytes);
  try {
    checkLimits(data, bytes.length);
    const executed = ledger.execute(digest, bytes, data, signatures);
    return { transaction: renderExecuted(executed, ledger.code, mask, false) };
  } catch (error) {
    throw error instanceof InputError ? executionStatus(error) : error;
  }
}

function parseTransaction(proto: GrpcTypes.Transaction): { bytes: Uint8Array; data: TransactionDataV1 } {
  const bytes = proto.bcs?.value;
  if (!bytes) throw fieldInvalid('transaction', 'invalid transaction: missing bcs');
  try {
    const data = bcs.TransactionData.parse(bytes);
    // Trailing or non-canonical bytes would give one transaction two digests.
    if (Buffer.compare(bcs.TransactionData.serialize(data).toBytes(), bytes) !== 0)
      throw new Error('bytes are left over');
    return { bytes, data: data.V1 };
  } catch (error) {
    throw fieldInvalid('transaction', `invalid transaction: ${messageOf(error)}`);
  }
}

function simulate(
  ledger: Ledger,
  request: GrpcTypes.SimulateTransactionRequest,
): GrpcTypes.SimulateTransactionResponse {
  const proto = request.transaction;
  if (!proto) throw fieldMissing('transaction');
  const mask = readMask(request.readMask, '*', GrpcTypes.SimulateTransactionResponse);
  const isChecked = request.checks !== GrpcTypes.SimulateTransactionRequest_TransactionChecks.DISABLED;
  const given = proto.bcs?.value ? parseTransaction(proto).data : resolveTransaction(ledger, proto);
  const selects = request.doGasSelection === true && isChecked;
  try {
    checkCalledFunctions(ledger, commandsOf(given));
    const data = selects ? withGas(ledger, given, proto) : given;
    const bytes = bcs.TransactionData.serialize({ V1: data }).toBytes();
    if (isChecked) checkLimits(data, bytes.length);
    const digest = TransactionDataBuilder.getDigestFromBytes(bytes);
    const outcome = gaslessFailure(
      proto,
      selects,
      ledger.simulate(digest, data, { isChecked, mayMockGas: !selects }),
    );
    return renderSimulation(ledger, { bytes, data, digest, outcome }, mask);
  } catch (error) {
    throw error instanceof InputError ? simulationStatus(error) : error;
  }
}

const commandsOf = (data: TransactionDataV1) =>
  data.kind.$kind === 'ProgrammableTransaction' ? data.kind.ProgrammableTransaction.commands : [];

/** Estimates the budget by a run with a lent coin, if none was given, and selects the coins that pay. */
function withGas(ledger: Ledger, given: TransactionDataV1, proto: GrpcTypes.Transaction): TransactionDataV1 {
  let data = given;
  if (proto.gasPayment?.budget === undefined && !proto.bcs) {
    const unpaid = { ...data, gasData: { ...data.gasData, payment: [], budget: String(MAX_GAS_BUDGET) } };
    const digest = TransactionDataBuilder.getDigestFromBytes(
      bcs.TransactionData.serialize({ V1: unpaid }).toBytes(),
    );
    const outcome = ledger.simulate(digest, unpaid, { isChecked: true, mayMockGas: true });
    const estimate = estimateBudget(outcome.cost, outcome.mockGasStorage ?? 0n, REFERENCE_GAS_PRICE);
    const available = BigInt(data.gasData.budget);
    if (available < estimate)
      throw invalidArgument(
        `Insufficient gas balance to cover estimated transaction cost. Available gas balance: ${available} MIST. Estimated gas budget required: ${estimate} MIST`,
      );
    data = { ...data, gasData: { ...data.gasData, budget: String(estimate) } };
  }
  return data.gasData.payment.length === 0 ? selectGas(ledger, data) : data;
}

/**
 * A measured oddity of the node, kept because callers meet it: with gas selection on, a transaction of nothing but
 * splits and merges of the gas coin is tried without gas first, where the gas coin has no value.
 */
function gaslessFailure(proto: GrpcTypes.Transaction, selects: boolean, outcome: Outcome): Outcome {
  if (!selects || proto.bcs || (proto.gasPayment?.objects.length ?? 0) > 0) return outcome;
  const body = proto.kind?.data;
  if (body?.oneofKind !== 'programmableTransaction') return outcome;
  const { commands } = body.programmableTransaction;
  const isOnlyGas =
    commands.length > 0 &&
    commands.every(
      ({ command }) =>
        command.oneofKind === 'splitCoins' &&
        command.splitCoins.coin?.kind === GrpcTypes.Argument_ArgumentKind.GAS,
    );
  if (!isOnlyGas) return outcome;
  const { reason, message } = argumentFailure(0, 'ArgumentWithoutValue');
  return { ...outcome, failure: new ExecutionFailure(reason, 0, message) };
}

function renderSimulation(
  ledger: Ledger,
  simulated: { bytes: Uint8Array; data: TransactionDataV1; digest: string; outcome: Outcome },
  mask: ReturnType<typeof readMask>,
): GrpcTypes.SimulateTransactionResponse {
  const { bytes, data, digest, outcome } = simulated;
  const transaction = renderOutcome(
    outcome,
    { digest, epoch: ledger.epoch },
    ledger.code,
    subMask(mask, 'transaction'),
  );
  transaction.digest = digest;
  transaction.transaction = GrpcTypes.Transaction.create({
    ...transactionToProto(data),
    digest,
    bcs: { name: 'TransactionData', value: bytes },
  });
  const whole = GrpcTypes.SimulateTransactionResponse.create({
    transaction,
    commandOutputs: outcome.commandOutputs.map((output) => ({
      returnValues: output.returnValues.map(({ type, bytes: value }) => ({ value: { name: type, value } })),
      mutatedByRef: output.mutated.map(({ argument, type, bytes: value }) => ({
        argument: argumentToProto(argument),
        value: { name: type, value },
      })),
    })),
    suggestedGasPrice: REFERENCE_GAS_PRICE,
  });
  return applyMask(whole, mask, GrpcTypes.SimulateTransactionResponse);
}
