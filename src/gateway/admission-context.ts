import type { Clock, Log, Secret } from '#base';
import type { ChainReader, KubernetesNode, KubernetesPort } from '#domain';
import type { ChainFacts, Machine } from '#seal';
import type { Audit } from './audit.ts';
import type { ChainProbe } from './chain-probe.ts';
import type { Clones } from './clones.ts';
import type { GatewayConfig } from './config.ts';
import type { StakeFact } from './decision.ts';
import type { Locks } from './locks.ts';
import type { Reconciler } from './reconciler.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import type { Worker } from './worker.ts';
import type { MachineJudge, ShownMachine } from './worker-attestation.ts';

/** A caller whose Seal proof holds: the key that signed is the one that the chain names for the token. */
export interface Applicant {
  readonly nodeId: string;
  /** base64url */
  readonly holderKey: string;
  readonly tokenId: string;
  /** Undefined while the chain is away; the applicant must be known then. */
  readonly facts: ChainFacts | undefined;
  readonly fact: StakeFact;
  readonly nodePasswordHash: string;
  readonly host: Readonly<Record<string, string | number>>;
  readonly requestId: string;
  /** Where it was signed, as the proof says. */
  readonly machine?: Machine | undefined;
  /** The client key of the node's kubelet, whose certificate the stake vouches for, has signed the challenge, too. */
  readonly hasKubelet?: boolean;
  /** What it shows of its machine, with the challenge that it used up. */
  readonly machineEvidence?: Pick<ShownMachine, 'evidence' | 'nonce'> | undefined;
}

export interface Admitted {
  readonly worker: Worker;
  /** Undefined: the API server hears the Node's kubelet, and the agent continues with its certificates. */
  readonly join: { readonly credential: Secret; readonly expiresAtMs: number } | undefined;
}

export interface AdmissionOptions {
  readonly config: GatewayConfig;
  readonly kubernetes: KubernetesPort;
  readonly chain: ChainReader;
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly audit: Audit;
  readonly refusals: RefusalTally;
  readonly locks: Locks;
  /** Whether a certificate counts only while it is vouched for; a claimed name is not closed then. */
  readonly isVouchingEnforced?: () => boolean;
  /** How many full nodes have just shown nothing newer of the cluster; `undefined`: nothing that is read is proven. */
  readonly endpointsAgreed?: (() => number) | undefined;
  /** Asked for what such a full node could hide. */
  readonly probe?: Pick<ChainProbe, 'ask'> | undefined;
  /** Judges what workers show of their machines. */
  readonly machines?: MachineJudge | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly clones: Pick<Clones, 'examineRegistration' | 'registered'>;
}

/** When an admission is given up. */
export interface Until {
  /** Before the first write: the caller is gone, the gateway stops, or the deadline has passed. */
  readonly reading: AbortSignal | undefined;
  /** After it: the gateway stops, or the deadline has passed. Steps that were begun for a caller are finished. */
  readonly writing: AbortSignal | undefined;
}

/** An applicant that nothing speaks against, and what its admission starts from. */
export interface Candidate {
  readonly applicant: Applicant;
  /** What is known of the node id from before. */
  readonly worker: Worker | undefined;
  /** What it becomes; the status is still the earlier one. */
  readonly next: Worker;
  readonly node: KubernetesNode | undefined;
  /** The name is among the admitted ones, with the tier that it is to have. */
  readonly isListed: boolean;
  readonly until: Until;
}
