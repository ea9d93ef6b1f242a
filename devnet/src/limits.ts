import { fromBase64 } from './base64.ts';
import type { TransactionDataV1 } from './chain-view.ts';
import type { Command } from './programmable.ts';
import { InputError } from './rpc-error.ts';

/** Sui's limits on the form of a transaction, as its protocol configuration has them. */
const MAX_TRANSACTION_BYTES = 131_072;
const MAX_PURE_BYTES = 16_384;
const MAX_COMMANDS = 1_024;
const MAX_ARGUMENTS = 512;
const MAX_INPUT_OBJECTS = 2_048;

/** Throws an `InputError` with the sentence of a node. */
export function checkLimits({ kind, gasData }: TransactionDataV1, sizeBytes: number): void {
  if (sizeBytes > MAX_TRANSACTION_BYTES)
    throw tooLarge(`serialized transaction size exceeded maximum of ${MAX_TRANSACTION_BYTES}`, sizeBytes);
  if (kind.$kind !== 'ProgrammableTransaction') return;
  const { inputs, commands } = kind.ProgrammableTransaction;
  if (commands.length === 0) throw new InputError('Empty command input');
  if (commands.length > MAX_COMMANDS)
    throw tooLarge('maximum commands in a programmable transaction', MAX_COMMANDS);
  const objects = inputs.filter((input) => input.$kind === 'Object').length + gasData.payment.length;
  if (objects > MAX_INPUT_OBJECTS)
    throw tooLarge('maximum input objects in a transaction', MAX_INPUT_OBJECTS);
  for (const input of inputs)
    if (input.$kind === 'Pure' && fromBase64(input.Pure.bytes).length > MAX_PURE_BYTES)
      throw tooLarge('maximum pure argument size', MAX_PURE_BYTES);
  for (const command of commands)
    if (argumentsOf(command) > MAX_ARGUMENTS)
      throw tooLarge('maximum arguments in a programmable transaction command', MAX_ARGUMENTS);
}

const tooLarge = (limit: string, value: number) =>
  new InputError(`Size limit exceeded: ${limit} is ${value}`);

function argumentsOf(command: Command): number {
  switch (command.$kind) {
    case 'MoveCall':
      return command.MoveCall.arguments.length;
    case 'TransferObjects':
      return command.TransferObjects.objects.length;
    case 'SplitCoins':
      return command.SplitCoins.amounts.length;
    case 'MergeCoins':
      return command.MergeCoins.sources.length;
    case 'MakeMoveVec':
      return command.MakeMoveVec.elements.length;
    default:
      return 0;
  }
}
