import type { Log } from '#base';
import type { Deployment } from '#chain';

/** Logs at start whether the chain's facts are proven by validators. */
export function sayTrust({ trust }: Deployment, log: Log): void {
  if (trust) log.info('Chain facts are held to the validators’ signatures', { trustPin: trust });
  else
    log.info(
      'Full nodes are believed: the deployment file has no trust pin. Write one with `k3s-daas proof pin --write`',
    );
}

/** For `onUnproven`: no decision uses what an endpoint cannot prove, and the log names it. */
export function warnUnproven(log: Log) {
  return ({ objectId, version, detail }: { objectId: string; version: bigint; detail: string }): void => {
    log.warn('A full node serves what it cannot prove', { objectId, version, detail });
  };
}
