import { billableSize, type ChainObject } from './objects.ts';

/** Sui's storage price: 100 gas units a byte at 76 MIST a unit. */
const STORAGE_MIST_PER_BYTE = 7_600n;
/** Of what was paid for storage, this share (in basis points) is paid back. */
const REBATE_BASIS_POINTS = 9_900n;
/** The least that a transaction is charged for computation, in gas units. */
const LEAST_COMPUTATION_UNITS = 1_000n;
/** Computation is charged in steps of so many units. */
const COMPUTATION_STEP = 100n;
/** More than this no transaction may compute, whatever its budget. */
const MAX_COMPUTATION_UNITS = 5_000_000n;
/**
 * Sui's instruction tiers: from so many instructions on, each costs so many times the first ones. A transaction of many
 * calls costs far more than as many transactions of one.
 */
const INSTRUCTION_TIERS: ReadonlyArray<readonly [from: number, factor: number]> = [
  [0, 1],
  [20_000, 2],
  [50_000, 10],
  [100_000, 50],
  [200_000, 100],
];
/**
 * Thousandths of a unit for an instruction of the first tier. This machine counts other instructions than Sui's and no
 * stack; it is set so that 64 mints in one transaction cost what they did on a real executor.
 */
const MILLIUNITS_PER_INSTRUCTION = 21;
/** Above what the largest budget pays for: where the search for a limit begins. */
const MAX_INSTRUCTIONS = 10_000_000;

export const REFERENCE_GAS_PRICE = 1_000n;
export const MAX_GAS_BUDGET = 50_000_000_000_000n;
export const MAX_GAS_PRICE = 50_000_000_000n;
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

function unitsOf(instructions: number): bigint {
  let weight = 0;
  for (const [index, [from, factor]] of INSTRUCTION_TIERS.entries()) {
    const to = INSTRUCTION_TIERS[index + 1]?.[0] ?? Number.POSITIVE_INFINITY;
    weight += Math.max(0, Math.min(instructions, to) - from) * factor;
  }
  const units = BigInt(Math.ceil((weight * MILLIUNITS_PER_INSTRUCTION) / 1_000));
  const rounded = ((units + COMPUTATION_STEP - 1n) / COMPUTATION_STEP) * COMPUTATION_STEP;
  return greater(rounded, LEAST_COMPUTATION_UNITS);
}

/** How many instructions a budget pays for. */
export function instructionLimit(budget: bigint, price: bigint): number {
  const wanted = budget / price;
  const units = wanted < MAX_COMPUTATION_UNITS ? wanted : MAX_COMPUTATION_UNITS;
  let [least, most] = [0, MAX_INSTRUCTIONS];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (unitsOf(middle) <= units) least = middle;
    else most = middle - 1;
  }
  return least;
}

export const computationCost = (instructions: number, price: bigint): bigint => unitsOf(instructions) * price;

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
