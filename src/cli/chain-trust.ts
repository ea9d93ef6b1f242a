import type { Log } from '#base';
import type { Deployment, UnprovenListener } from '#chain';

/** Says at start what the chain's facts rest on. */
export function sayTrust({ trust }: Deployment, log: Log): void {
  if (trust) log.info('Chain facts are held to the validators’ signatures', { trustPin: trust });
  else
    log.info(
      'Full nodes are believed: the deployment file has no trust pin. Write one with `k3s-daas proof pin --write`',
    );
}

/** For `onUnproven`: what an endpoint serves and cannot prove is not decided on, and the operator should know. */
export function warnUnproven(log: Log): UnprovenListener {
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
