import { whyDead } from './deliver-transaction.ts';
import type { Endpoints } from './endpoints/index.ts';
import type { GasCost } from './gas.ts';
import { overtaken } from './operation.ts';
import { type SignedTransaction, simulateBytes } from './prepare-transaction.ts';

/**
 * What a transaction that was signed elsewhere would cost now: these very bytes are simulated. Throws the contract's named aborts, and
 * `DAAS_TRANSACTION_OVERTAKEN` when it can no longer be executed.
 */
export async function simulateSigned(
  endpoints: Endpoints,
  { signed, packageId }: { readonly signed: SignedTransaction; readonly packageId: string | undefined },
  signal?: AbortSignal,
): Promise<GasCost> {
  const reason = await endpoints.withOne((endpoint) => whyDead(endpoint, signed, signal), signal);
  if (reason !== undefined) throw overtaken(signed.digest, reason);
  return endpoints.withOne((endpoint) => simulateBytes(endpoint, signed.bytes, packageId, signal), signal);
}
