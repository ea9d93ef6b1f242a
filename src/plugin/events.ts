import type { ErrorField } from '#base';
import type { Notice } from './notifier.ts';
import type { AgentState } from './services.ts';

/** What a host goes through, in this order; `degraded` and `run` alternate (docs/architecture.md). */
export type HostPhase =
  | 'configure'
  | 'preflight'
  | 'stake'
  | 'seal'
  | 'register'
  | 'run'
  | 'degraded'
  | 'drain'
  | 'stop';

/** Facts of a host's life, in the past tense. Ids are public; nothing here is secret. */
export interface HostEvents {
  'phase.entered': { readonly phase: HostPhase; readonly detail?: string };
  'stake.created': { readonly recordId: string; readonly digest: string; readonly stakeMist: bigint };
  'stake.found': { readonly recordId: string; readonly stakeMist: bigint };
  'seal.minted': { readonly tokenId: string; readonly recordId: string; readonly digest: string };
  'seal.found': { readonly tokenId: string; readonly recordId: string };
  /** The stake and its live token were read on chain. */
  'seal.read': {
    readonly recordId: string;
    readonly stakeMist: bigint;
    readonly tokenId: string;
    readonly epoch: bigint;
    readonly expiresAtEpoch: bigint;
  };
  /** Another Seal token has taken the place of one; the host registers with it next. */
  'seal.rotated': {
    readonly tokenId: string;
    readonly earlierTokenId: string;
    readonly recordId: string;
    readonly digest: string;
  };
  /** The successor is the key of the node now; the earlier key is gone. */
  'node.key.changed': { readonly nodeId: string; readonly tokenId: string };
  /** The host asks a gateway to register this node; `worker.registered` or `registration.failed` follows. */
  'registration.begun': { readonly nodeId: string };
  'registration.failed': { readonly nodeId: string; readonly error: ErrorField };
  'worker.registered': WorkerRegistered;
  'agent.started': { readonly pid: number };
  'agent.ready': { readonly pid: number };
  /**
   * The server refuses the agent's certificate or join credential, and k3s retries for ever. Emitted once for
   * each reason and process. Without a fresh credential the way out is to register again.
   */
  'agent.refused': { readonly pid: number; readonly reason: string; readonly hadJoinCredential: boolean };
  'agent.exited': {
    readonly pid: number;
    readonly exitCode: number | undefined;
    readonly signal: string | undefined;
  };
  'agent.stopped': { readonly pid: number | undefined; readonly killedPids: readonly number[] };
  'agent.state.changed': { readonly from: AgentState['kind']; readonly to: AgentState['kind'] };
  /** The gateway vouches for these certificates of the agent: `kubelet`, `kube-proxy`, `k3s-controller`. */
  'certificates.vouched': { readonly identities: readonly string[]; readonly isInForce: boolean };
  'heartbeat.acknowledged': { readonly sequence: number; readonly directives: readonly string[] };
  /** A directive that is about the stake: `rotate` or `top_up`. */
  'gateway.directive': { readonly directive: string; readonly reason: string };
  'heartbeat.failed': { readonly error: ErrorField };
  'stake.slashed': { readonly recordId: string; readonly source: string };
  'stake.ended': { readonly recordId: string; readonly status: string; readonly source: string };
  /** Something that a person should know of; again, with other words, when it has changed. */
  'attention.needed': Notice;
  'attention.ended': { readonly kind: string; readonly subject?: string | undefined };
  'latch.written': { readonly recordId: string };
  /** The last event of a host's life: why it ended. `error` is absent when it was asked to stop. */
  'host.ended': {
    readonly exitCode: number;
    readonly reason: string | undefined;
    readonly error: ErrorField | undefined;
  };
}

export interface WorkerRegistered {
  readonly nodeId: string;
  readonly recordId: string;
  /** Object id of the Seal token that was shown. */
  readonly sealTokenId: string;
  readonly gatewayId: string;
  readonly gatewayUrl: string;
  /** What the chain names it: how much a worker of a tier may expect of it. */
  readonly gatewayTier?: string | undefined;
  readonly incarnation: number;
  readonly heartbeatIntervalMs: number;
  /** false: the node is known and running, the agent restarts on the certificates it has. */
  readonly hasJoinCredential: boolean;
  /** As in `Registration`. */
  readonly gatewayEvidence?: string | undefined;
  readonly machineEvidence?: string | undefined;
  /** What the gateway's log and audit file know the registration by; an older gateway does not say. */
  readonly requestId?: string | undefined;
}
