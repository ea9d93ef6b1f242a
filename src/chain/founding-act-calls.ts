import { createClusterCall } from './cluster-operations.ts';
import { findTransaction } from './deliver-transaction.ts';
import type { Endpoints } from './endpoints/index.ts';
import type { FoundingAct } from './founding-act.ts';
import type { GasCost } from './gas.ts';
import { type OperationCall, requestOfCall, sendCall } from './operation.ts';
import type { SignedTransaction, TransactionRequest } from './prepare-transaction.ts';
import { publishCall } from './publish-operation.ts';
import { simulateSigned } from './simulate-signed.ts';

/** What is there once the transaction has landed. */
export interface Founded {
  readonly digest: string;
  readonly packageId: string;
  readonly clusterId?: string;
  readonly upgradeCapId?: string | undefined;
}

/** Who signs, and the package, which a cluster is made from. */
interface Founding {
  readonly sender: string;
  readonly packageId: string | undefined;
}

function callOfAct({ sender, packageId }: Founding, act: FoundingAct): OperationCall<Founded> {
  if (act.kind === 'publish') return publishCall(sender, act);
  if (packageId === undefined) throw new Error('it names no package');
  const { parameters: settings, servers } = act;
  const { resultOf, ...call } = createClusterCall({ packageId, settings, servers });
  return { ...call, resultOf: (transaction) => ({ packageId, ...resultOf(transaction) }) };
}

/** The transaction of an act, without what is offered for gas. */
export function foundingRequest(founding: Founding, act: FoundingAct): TransactionRequest {
  return requestOfCall(founding.sender, callOfAct(founding, act));
}

/** A founding act that was signed elsewhere. */
export interface SignedFounding extends Founding {
  readonly act: FoundingAct;
  readonly signed: SignedTransaction;
}

export function hasLanded(
  endpoints: Endpoints,
  { signed }: SignedFounding,
  signal?: AbortSignal,
): Promise<boolean> {
  return endpoints.withOne(
    async (endpoint) => (await findTransaction(endpoint, signed.digest, signal)) !== undefined,
    signal,
  );
}

/** What it would cost now. Throws the contract's named aborts, and `DAAS_TRANSACTION_OVERTAKEN` when it can no longer be executed. */
export function simulateFounding(
  endpoints: Endpoints,
  { signed, packageId }: SignedFounding,
  signal?: AbortSignal,
): Promise<GasCost> {
  return simulateSigned(endpoints, { signed, packageId }, signal);
}

/** Sends it, and waits until its outcome is known. The same bytes land once, however often they are sent. */
export async function sendFounding(
  endpoints: Endpoints,
  founding: SignedFounding,
  signal?: AbortSignal,
): Promise<Founded> {
  if (!(await hasLanded(endpoints, founding, signal))) await simulateFounding(endpoints, founding, signal);
  return sendCall(endpoints, founding.signed, { call: callOfAct(founding, founding.act) }, signal);
}
