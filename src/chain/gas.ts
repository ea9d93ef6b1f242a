import { ConfigurationError } from '#base';

/** What a simulation used, MIST. */
export interface GasCost {
  readonly computationMist: bigint;
  readonly storageMist: bigint;
  readonly rebateMist: bigint;
  /** What the sender's coins change by for gas: computation + storage - rebate. */
  readonly totalMist: bigint;
}

/** Gas units that an execution may take more than its simulation: one step of Sui's smallest tier. */
const SPARE_UNITS = 1_000n;

/**
 * The most gas to offer for a transaction that used this much in a simulation. Sui holds a budget against the computation
 * and against what is paid in the end, the rebate for what the transaction overwrites taken off: a large object that is
 * written back costs a hundredth of its storage, not all of it. On top come a fifth, one step of computation, and that
 * hundredth once more, since the object may have grown by the time the transaction is carried out.
 */
export function budgetFor({ computationMist, storageMist, totalMist }: GasCost, gasPrice: bigint): bigint {
  const usedMist = totalMist > computationMist ? totalMist : computationMist;
  return usedMist + usedMist / 5n + storageMist / 100n + SPARE_UNITS * gasPrice;
}

/** What is offered for a unit of gas. Throws `DAAS_GAS_PRICE_TOO_LOW` (exit 78) below the reference price of the epoch. */
export function gasPriceFor(wantedMist: bigint | undefined, referenceMist: bigint): bigint {
  if (wantedMist === undefined) return referenceMist;
  if (wantedMist >= referenceMist) return wantedMist;
  throw new ConfigurationError(
    'DAAS_GAS_PRICE_TOO_LOW',
    `a gas price of ${wantedMist} MIST (--gas-price) is below the reference price of this epoch, ${referenceMist} MIST: offer at least that`,
    { details: { wantedMist, referenceMist } },
  );
}
