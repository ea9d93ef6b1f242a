import { join } from 'node:path';
import type { Log } from '#base';
import { type Deployment, openProofStore, type ProofOptions, type UnprovenListener } from '#chain';

/** Says at start what the chain's facts rest on. */
export function sayTrust({ trust, recentTrust }: Deployment, log: Log): void {
  if (trust)
    log.info('Chain facts are held to the validators’ signatures', {
      trustPin: trust,
      recentPin: recentTrust,
    });
  else
    log.warn(
      'The deployment file has no trust pin: the full nodes are trusted on first use. Compare `k3s-daas proof pin` with another source, then add it with `k3s-daas proof pin --write`',
    );
}

/** How a long-running program proves what full nodes serve: it keeps committees and proofs in its state directory. */
export function proofsOf(
  stateDir: string,
  { chainId }: Deployment,
  log: Log,
): Omit<Required<ProofOptions>, 'pairing' | 'proofWaitMs'> {
  return {
    proofStore: openProofStore(join(stateDir, 'proofs.db'), chainId, {
      onFailure: (detail) =>
        log.error('What was proven cannot be written down: after a restart it is proven again', {
          event: 'chain.proofs-unwritten',
          detail,
        }),
    }),
    onUnproven: warnUnproven(log),
    onFirstUse: ({ trust, recentTrust }, isFirst) =>
      log.warn(isFirst ? 'Trusted on first use' : 'Trusted since the first use', {
        trustPin: trust,
        recentPin: recentTrust,
      }),
    onFork: (evidence) =>
      log.error('Two checkpoints of one height are signed: nothing of this chain is believed any more', {
        event: 'chain.fork',
        detail: evidence,
      }),
  };
}

/** For `onUnproven`: what an endpoint serves and cannot prove is not decided on, and the operator should know. */
function warnUnproven(log: Log): UnprovenListener {
  return ({ objectId, version, detail, contradictedBy: endpoint }) => {
    if (endpoint === undefined)
      log.warn('A full node serves what it cannot prove', { objectId, version, detail });
    else
      log.error('A full node serves what the validators did not sign, and is dropped', {
        endpoint,
        objectId,
        version,
        detail,
      });
  };
}
