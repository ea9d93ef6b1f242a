import type { AuditCargo } from '#domain';

/**
 * A transaction that the gateway pays for: its effects, which the validators signed, name the newest version of the cluster and
 * of stake records at a time that the gateway chose. A full node that is asked alone can hide no change from before it.
 */
export interface ChainProbe {
  /** Probes when one is due, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Asks for one that covers this record too. It is not waited for, and bounded by what it may cost. */
  ask(recordId: string): void;
  /** From now on probes carry what this says, if they are to. */
  carry(cargo: AuditCargo): void;
}
