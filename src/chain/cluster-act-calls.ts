import type { ClusterAct } from './cluster-act.ts';
import { changeCluster, forceUnstake, scheduleParameters } from './cluster-operations.ts';
import { findTransaction } from './deliver-transaction.ts';
import type { GasCost } from './gas.ts';
import { addGateway, registerAttestation, setGatewayStatus } from './gateway-operations.ts';
import { type ClusterActor, type OperationCall, requestOfCall, sendCall } from './operation.ts';
import type { SignedTransaction, TransactionRequest } from './prepare-transaction.ts';
import { simulateSigned } from './simulate-signed.ts';
import {
  answerSlash,
  cancelSlash,
  executeSlash,
  expireSlash,
  openProposal,
  retractSlashVote,
  voteSlash,
} from './slash-operations.ts';
import type { Contract } from './stake-requests.ts';

/** The calls of an act; the same act gives the same calls. */
function callOfAct(contract: Contract, act: ClusterAct): OperationCall<{ readonly digest: string }> {
  switch (act.kind) {
    case 'schedule-parameters':
      return scheduleParameters.callOf(contract, act);
    case 'force-unstake':
      return forceUnstake.callOf(contract, act);
    case 'add-gateway':
      return addGateway.callOf(contract, act);
    case 'set-gateway-status':
      return setGatewayStatus.callOf(contract, act);
    case 'register-attestation':
      return registerAttestation.callOf(contract, act);
    case 'propose-slash':
      return openProposal.callOf(contract, act);
    case 'vote-slash':
      return voteSlash.callOf(contract, act);
    case 'execute-slash':
      return executeSlash.callOf(contract, act);
    case 'retract-slash-vote':
      return retractSlashVote.callOf(contract, act);
    case 'cancel-slash':
      return cancelSlash.callOf(contract, act);
    case 'answer-slash':
      return answerSlash.callOf(contract, act);
    case 'expire-slash':
      return expireSlash.callOf(contract, act);
    default:
      return changeCluster.callOf(contract, act);
  }
}

/** The transaction of an act, without what is offered for gas. */
export function clusterActRequest(sender: string, contract: Contract, act: ClusterAct): TransactionRequest {
  return requestOfCall(sender, callOfAct(contract, act));
}

/** What an act that was signed elsewhere is sent through. */
type Sending = Pick<ClusterActor, 'client' | 'settleForMs'>;

/** What an act that was signed elsewhere would cost now (`simulateSigned`). */
export function simulateClusterAct(
  { client: { endpoints, deployment } }: Sending,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<GasCost> {
  return simulateSigned(endpoints, { signed, packageId: deployment.packageId }, signal);
}

/**
 * Sends an act that was signed elsewhere, and waits until its outcome is known. It needs no journal: the file and its signatures
 * are all there is to keep, and the same bytes land once, however often they are sent.
 */
export async function sendClusterAct(
  sending: Sending,
  act: ClusterAct,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<{ readonly digest: string }> {
  const { client, settleForMs } = sending;
  const { endpoints, deployment } = client;
  const landed = await endpoints.withOne(
    (endpoint) => findTransaction(endpoint, signed.digest, signal),
    signal,
  );
  if (!landed) await simulateClusterAct(sending, signed, signal);
  return sendCall(endpoints, signed, { call: callOfAct(deployment, act), settleForMs }, signal);
}
