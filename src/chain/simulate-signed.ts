import { findTransaction, whyDead } from './deliver-transaction.ts';
import type { Endpoints } from './endpoints/index.ts';
import type { GasCost } from './gas.ts';
import { overtaken } from './operation.ts';
import { type SignedTransaction, simulateBytes } from './prepare-transaction.ts';

/**
 * What a transaction that was signed elsewhere would cost now, or has cost: these very bytes are simulated. Throws the contract's named aborts, and
 * `DAAS_TRANSACTION_OVERTAKEN` when it can no longer be executed.
 */
export async function simulateSigned(
  endpoints: Endpoints,
  { signed, packageId }: { readonly signed: SignedTransaction; readonly packageId: string | undefined },
  signal?: AbortSignal,
): Promise<GasCost> {
  const outcome = await endpoints.withOne(async (endpoint) => {
    const reason = await whyDead(endpoint, signed, signal);
    if (reason === undefined) return undefined;
    // Its own execution has used its coins, too. The reason is read first: see `fateOf`.
    const landed = await findTransaction(endpoint, signed.digest, signal);
    return landed ? { cost: landed.cost } : { reason };
  }, signal);
  if (outcome?.reason !== undefined) throw overtaken(signed.digest, outcome.reason);
  if (outcome?.cost) return outcome.cost;
  return endpoints.withOne((endpoint) => simulateBytes(endpoint, signed.bytes, packageId, signal), signal);
}
