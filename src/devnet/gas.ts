import { billableSize, type ChainObject } from './objects.ts';

/** Sui's storage price: 100 gas units a byte at 76 MIST a unit. */
const STORAGE_MIST_PER_BYTE = 7_600n;
/** Of what was paid for storage, this share (in basis points) is paid back. */
const REBATE_BASIS_POINTS = 9_900n;
/** Computation is charged in steps of 1000 units. */
const COMPUTATION_STEP = 1_000n;
/** How many instructions of this machine a step pays for: generous, so that an ordinary call costs one step. */
const INSTRUCTIONS_PER_STEP = 20_000;
/** What one transaction may execute, whatever its budget: the machine shares its process with others. */
const MAX_INSTRUCTIONS = 20_000_000;

export const REFERENCE_GAS_PRICE = 1_000n;
export const MAX_GAS_BUDGET = 50_000_000_000n;
export const MAX_GAS_PRICE = 100_000n;
export const MAX_GAS_OBJECTS = 256;
/** The smallest budget a transaction may have, in gas units. */
const MIN_BUDGET_UNITS = 1_000n;
/** What an estimate adds for safety, in gas units. */
const ESTIMATE_OVERHEAD_UNITS = 1_000n;

export interface GasCost {
  readonly computationCost: bigint;
  readonly storageCost: bigint;
  readonly storageRebate: bigint;
  readonly nonRefundableStorageFee: bigint;
}

export const minimumBudget = (price: bigint): bigint => MIN_BUDGET_UNITS * price;

export const storageCostOf = (object: ChainObject): bigint => billableSize(object) * STORAGE_MIST_PER_BYTE;

/** How many instructions a budget pays for. */
export function instructionLimit(budget: bigint, price: bigint): number {
  const steps = budget / (price * COMPUTATION_STEP);
  return Math.min(MAX_INSTRUCTIONS, Number(steps) * INSTRUCTIONS_PER_STEP);
}

export const computationCost = (instructions: number, price: bigint): bigint =>
  COMPUTATION_STEP * price * BigInt(1 + Math.floor(instructions / INSTRUCTIONS_PER_STEP));

/** Splits what deleted and overwritten objects had paid for their storage into what comes back and what does not. */
export function rebateOf(paid: bigint): Pick<GasCost, 'storageRebate' | 'nonRefundableStorageFee'> {
  const storageRebate = (paid * REBATE_BASIS_POINTS + 5_000n) / 10_000n;
  return { storageRebate, nonRefundableStorageFee: paid - storageRebate };
}

/** What the gas coin loses; negative when rebates exceed the costs. */
export const netCost = (cost: GasCost): bigint =>
  cost.computationCost + cost.storageCost - cost.storageRebate;

/** A budget for a transaction that has cost `cost` in a simulation. */
export function estimateBudget(cost: GasCost, mockCoinStorage: bigint, price: bigint): bigint {
  const net = netCost({ ...cost, storageCost: cost.storageCost - mockCoinStorage });
  const estimate = greater(net, cost.computationCost) + ESTIMATE_OVERHEAD_UNITS * price;
  return -greater(-estimate, -MAX_GAS_BUDGET);
}

const greater = (left: bigint, right: bigint): bigint => (left > right ? left : right);
