import type { Clock, Journal, Secret } from '#base';
import type { ChainReader, GatewayEntry, StopCause } from '#domain';
import { type Token, token } from './token.ts';

/** Reads and writes of this worker's stake. Every write is journaled before it is sent, so that money never moves twice. */
export interface StakeChain extends ChainReader {
  /** The wallet's Sui address. */
  readonly wallet: string;
  readonly clusterId: string;
  /**
   * Locks `stakeMist` for the node and mints its Seal token for a node key (32 bytes), in one transaction. Resumes a
   * transaction that an earlier process had signed. If this wallet has a live record for the node already, nothing is
   * sent, and `tokenId` is missing when that record has no token. `termsVersion` is that of the terms that were judged.
   * Throws `DAAS_NODE_ID_TAKEN`, `DAAS_BALANCE_TOO_LOW`, `DAAS_STAKE_TOO_LOW`, `DAAS_TERMS_NOT_ACCEPTED` (the terms have
   * changed meanwhile).
   */
  join(request: StakeTerms & { holderKey: Uint8Array }, signal?: AbortSignal): Promise<ChainReceipt>;
  /** As `join`, without a token. */
  stakeForNode(request: StakeTerms, signal?: AbortSignal): Promise<ChainReceipt>;
  /** Mints the record's Seal token for a node key (32 bytes). */
  createWorkerSealToken(
    request: { recordId: string; holderKey: Uint8Array },
    signal?: AbortSignal,
  ): Promise<ChainReceipt>;
  /**
   * Replaces the record's Seal token by one for a node key (32 bytes), with its full life; `objectId` is the new one. The
   * old token counts no longer as soon as this has landed. Asked again for the same token and key, it answers the same and
   * sends nothing. Throws `DAAS_TOKEN_REPLACED` when the record names another token than `tokenId`, `DAAS_STAKE_TOO_LOW`,
   * `DAAS_STAKE_NOT_ACTIVE`, `DAAS_STAKE_NOT_OURS`.
   */
  rotateSealToken(
    request: { recordId: string; tokenId: string; holderKey: Uint8Array },
    signal?: AbortSignal,
  ): Promise<ChainReceipt>;
  /**
   * Adds coins to an active stake, once for each state of the record: `paidInMist` is `stakeMist + slashedMist` as it was
   * read. Throws `DAAS_STAKE_CHANGED` when something was paid in since, `DAAS_TOP_UP_TOO_LOW`, `DAAS_STAKE_HELD` (a slash
   * proposal is open), `DAAS_TERMS_NOT_ACCEPTED`, `DAAS_BALANCE_TOO_LOW`.
   */
  topUp(
    request: {
      recordId: string;
      amountMist: bigint;
      paidInMist: bigint;
      /** That of the terms that were judged; when left out: the version at the time of the call. */
      termsVersion?: bigint | undefined;
    },
    signal?: AbortSignal,
  ): Promise<ChainReceipt>;
  /** Deletes a Seal token: the node is out, the stake stays. */
  revokeSealToken(
    request: { recordId: string; tokenId: string },
    signal?: AbortSignal,
  ): Promise<ChainReceipt>;
  /**
   * Begins the unbonding of an active stake: its node id is free and its Seal token dead. The coins can be withdrawn from
   * `unlockAtMs` of the record on. Throws `DAAS_STAKE_NOT_ACTIVE`, `DAAS_STAKE_NOT_OURS`.
   */
  requestUnstake(request: { recordId: string }, signal?: AbortSignal): Promise<ChainReceipt>;
  /**
   * Takes what is left of an unbonding or slashed stake. Throws `DAAS_STAKE_LOCKED` (not yet), `DAAS_STAKE_HELD`,
   * `DAAS_STAKE_EMPTY`, `DAAS_STAKE_NOT_UNBONDING`.
   */
  withdraw(request: { recordId: string }, signal?: AbortSignal): Promise<ChainReceipt>;
  /** What `stakeForNode`, or `join` with a node key, would cost, simulated by the chain. Sends nothing; throws as they do. */
  simulateStake(
    request: StakeTerms & { holderKey?: Uint8Array },
    signal?: AbortSignal,
  ): Promise<SimulatedCost>;
  /** What `createWorkerSealToken` would cost; sends nothing. */
  simulateSealToken(
    request: { recordId: string; holderKey: Uint8Array },
    signal?: AbortSignal,
  ): Promise<SimulatedCost>;
  /** A slash proposal of this cluster; undefined when it is closed or unknown. */
  slashProposal(id: string, signal?: AbortSignal): Promise<ProposedSlash | undefined>;
  /** What the wallet holds in coins, MIST: gas is paid from it. */
  coinsMist(signal?: AbortSignal): Promise<bigint>;
  /** Settles the transaction that an earlier process had signed: sends the same bytes again, or finds the result. */
  settlePending(signal?: AbortSignal): Promise<ChainReceipt | undefined>;
}
/** What a staker has to know of a slash proposal to answer it. */
export interface ProposedSlash {
  readonly amountMist: bigint;
  /** Written by the proposer. */
  readonly reason: string;
  /** SHA-256 of the evidence, 32 bytes; all zero when there is none. */
  readonly evidence: Uint8Array;
  /** Hash of the staker's answer; empty until then. */
  readonly answer: Uint8Array;
  /** It can be executed from then on, and answered before. */
  readonly executableAtMs: number;
  readonly expiresAtMs: number;
}
export interface StakeTerms {
  readonly nodeId: string;
  readonly stakeMist: bigint;
  /** When left out: the version at the time of the call. */
  readonly termsVersion?: bigint | undefined;
}
export interface ChainReceipt {
  readonly digest: string;
  /** The object the call is about: the stake record, the Seal token. */
  readonly objectId: string;
  /** The Seal token, when the same transaction made it. */
  readonly tokenId?: string | undefined;
  /** What a top-up added, or a withdrawal took out. */
  readonly amountMist?: bigint | undefined;
}
export interface SimulatedCost {
  /** The most that the gas may cost; what is not used stays in the coin. */
  readonly gasBudgetMist: bigint;
}
export const StakeChain: Token<StakeChain> = token('stake-chain');

/** The node and its key. The private key stays inside. */
export interface NodeIdentity {
  readonly nodeId: string;
  /** Ed25519 public key, 32 bytes. */
  readonly holderKey: Uint8Array;
  /** k3s' node password, hashed as k3s stores it: `$1:<salt>:15:8:1:<base64>`. */
  nodePasswordHash(): Promise<string>;
  readonly rotation: KeyRotation;
}

/**
 * The exchange of the node key when its Seal token is rotated: `prepare`, the rotation on chain, `adopt`, a registration,
 * `complete`. Every step can be repeated, also by a later process.
 */
export interface KeyRotation {
  /** Public key (32 bytes) of the successor, the same one until `complete`. It is kept beside the key, mode 0600. */
  prepare(): Promise<Uint8Array>;
  /** Whether this machine has the key that the token names. Proofs for the token are signed with it from then on. */
  adopt(sealTokenId: string, holderKey: Uint8Array): Promise<boolean>;
  /**
   * If the token was adopted for the successor, that becomes the key of the node, and the earlier key is overwritten and
   * removed. Whether the key has changed.
   */
  complete(sealTokenId: string): Promise<boolean>;
}
export const NodeIdentity: Token<NodeIdentity> = token('node-identity');

/** Opens the connection to a gateway of the chain: TLS pinned to the keys that the chain names. */
export interface GatewayConnector {
  connect(gateway: GatewayEntry): GatewayConnection;
}
export const GatewayConnector: Token<GatewayConnector> = token('gateway-connector');

/** The gateway's API as a worker uses it (docs/api.md). Problem replies become `DaasError`s with the gateway's code. */
export interface GatewayConnection extends AsyncDisposable {
  readonly gateway: GatewayEntry;
  challenge(request: { nodeId: string; staker: string }, signal?: AbortSignal): Promise<Challenge>;
  register(request: RegisterRequest, signal?: AbortSignal): Promise<Registration>;
  heartbeat(request: HeartbeatRequest, signal?: AbortSignal): Promise<HeartbeatReply>;
  /** Shows the agent's client certificates: each counts in the cluster only once the gateway has seen it. */
  showCertificates(request: ShowCertificatesRequest, signal?: AbortSignal): Promise<VouchedCertificates>;
  /**
   * Asks the gateway to take this node out of the cluster, its pods first. `left`: it is out. May be asked again and again; bans
   * nothing.
   */
  leave(request: LeaveRequest, signal?: AbortSignal): Promise<'leaving' | 'left'>;
  /**
   * Listens until the gateway, the connection or `signal` ends it: something about the stake record of this node changed on chain.
   * The gateway's word alone: read the chain before you act on it. Left out by connectors of an earlier version.
   * @throws `DAAS_GATEWAY_NOT_FOUND` from a gateway of an earlier version, and what every call throws.
   */
  events?(request: EventsRequest, signal: AbortSignal): Promise<void>;
}

export interface EventsRequest {
  readonly challenge: Challenge;
  readonly sealTokenId: string;
  /** The stream is there: from now on changes are told. */
  readonly onOpen: () => void;
  readonly onChange: () => void;
}

export interface LeaveRequest {
  readonly challenge: Challenge;
  readonly sealTokenId: string;
}

export interface ShowCertificatesRequest {
  readonly challenge: Challenge;
  readonly sealTokenId: string;
  /** PEM, three at most: the whole set as it is on disk. */
  readonly certificates: readonly string[];
}
export interface VouchedCertificates {
  /** `kubelet`, `kube-proxy`, `k3s-controller`. */
  readonly identities: readonly string[];
  /** The cluster knows of them; if not, it is told as soon as it can be reached. */
  readonly isInForce: boolean;
}

export interface Challenge {
  readonly nonce: string;
  readonly gatewayId: string;
  /** The gateway's clock, ms: proofs are dated in its time. */
  readonly timestampMs: number;
  readonly expiresAtMs: number;
  /** Would (node id, staker) be admitted? Asked before money is staked; `reason` when not. */
  readonly admissible: boolean;
  readonly reason: string | undefined;
}

export interface RegisterRequest {
  readonly challenge: Challenge;
  /** Object id of the Seal token. */
  readonly sealTokenId: string;
  readonly nodePasswordHash: string;
  readonly host: Readonly<Record<string, string | number>>;
}

export interface Registration {
  readonly nodeId: string;
  readonly message: string;
  readonly incarnation: number;
  /** What the gateway's log and audit file know the registration by; an older gateway does not say. */
  readonly requestId?: string | undefined;
  /** Absent while the API server hears the Node's kubelet: the agent goes on with what it has. */
  readonly join: JoinCredential | undefined;
  readonly heartbeatIntervalMs: number;
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** `key=value:Effect`, as k3s' `--node-taint` takes it. */
  readonly taints: readonly string[];
  /** Kind of the evidence by which the gateway was judged; undefined: this host asks for none. */
  readonly gatewayEvidence?: string | undefined;
  /** What the gateway made of this machine's evidence: its kind, or `none` and why; undefined: it asks for none. */
  readonly machineEvidence?: string | undefined;
}

/** What k3s is started with instead of a join token. */
export interface JoinCredential {
  /** `https://host:6443` */
  readonly server: string;
  /** `K10<CA hash>::<id>.<secret>`; lives for minutes. */
  readonly token: Secret;
  /** By this machine's clock. */
  readonly expiresAtMs: number;
}

export interface HeartbeatRequest {
  readonly sealTokenId: string;
  readonly incarnation: number;
  readonly sequence: number;
  readonly stakeStatus: string;
  readonly stakeMist: bigint;
  readonly agentState: AgentState['kind'];
  readonly runningPods: number | undefined;
  readonly resourceUsage: ResourceUsage;
}
export interface ResourceUsage {
  readonly cpuPercent: number;
  readonly memoryPercent: number;
  readonly diskPercent: number;
}
export interface HeartbeatReply {
  readonly timestampMs: number;
  readonly message: string;
  /** `stop`, `reregister` in this version; unknown ones are ignored with a warning. */
  readonly directives: readonly Directive[];
}
export interface Directive {
  readonly kind: string;
  /** A named reason such as `slashed`. */
  readonly reason: string;
}

/** The k3s agent process as others may see it. */
export type AgentState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'starting'; readonly pid: number }
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'waiting'; readonly restartInMs: number; readonly detail: string }
  | { readonly kind: 'stopping'; readonly pid: number }
  | { readonly kind: 'stopped'; readonly detail: string };

export interface Agent {
  state(): AgentState;
  /** Pods running on this machine; undefined when the runtime does not answer. */
  runningPods(signal?: AbortSignal): Promise<number | undefined>;
  resourceUsage(): Promise<ResourceUsage>;
  /** Of the installed k3s, `v1.36.2+k3s1`; undefined before it was asked. */
  k3sVersion(): string | undefined;
}
export const Agent: Token<Agent> = token('agent');

/** What one start of the agent is made of, besides the user's own flags. */
export interface AgentStart {
  /** Absent: the agent starts on the certificates it has, with what the journal knows of the server. */
  readonly join: JoinCredential | undefined;
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** `key=value:Effect` */
  readonly taints: readonly string[];
  /** What plugins add (`AgentArguments`): argv elements such as `--node-label=a=b`. */
  readonly arguments: readonly string[];
}

/** A signature by the key of a kubelet's client certificate, which a thief of the node key does not have. */
export interface KubeletProof {
  /** PEM */
  readonly certificate: string;
  /** With SHA-256, base64url. */
  readonly signature: string;
}

/**
 * The agent as the host's life cycle drives it. It reports `agent.*` events through the `emit` it was made with.
 * One at a time: `start` waits for a `stop` in progress, a second `start` replaces the first.
 */
export interface AgentSupervisor extends Agent, AsyncDisposable {
  /**
   * Before money is staked: the binary is there and runs, the flags, environment and config files of k3s hold nothing
   * that is ours (`DAAS_AGENT_SETTING_CONFLICT`), the directories can be written (`DAAS_AGENT_BINARY_MISSING`,
   * `DAAS_AGENT_NO_RIGHTS`). Stops an agent that an earlier life of the host left behind; its pods live on.
   */
  preflight(signal: AbortSignal): Promise<void>;
  /**
   * Where k3s keeps the node's password: one a machine, or one a data directory with `--rootless`. Throws as `preflight`
   * does for settings that conflict. What is in it (`NodeIdentity.nodePasswordHash`) must be there before the agent starts.
   */
  nodePasswordFile(): Promise<string>;
  /**
   * Starts the agent, or restarts it with a new credential when it runs, and keeps it running. Resolves when the kubelet
   * is healthy and the Node is Ready; crashes on the way are retried within the crash budget. Rejects with
   * `DAAS_JOIN_DEADLINE` (exit 75, names the last reason k3s gave), `DAAS_AGENT_CRASHING`, or the reason of `signal`,
   * which ends the waiting and stops the agent. Once it has resolved, `signal` has no say: use `stop`.
   */
  start(request: AgentStart, signal: AbortSignal): Promise<void>;
  /**
   * Resolves with what ended a supervision that had reached Ready: the crash budget is used up, or a restarted agent did
   * not become Ready within the join deadline. Never rejects; stays pending while all is well and after `stop`.
   */
  failed(): Promise<Error>;
  /**
   * PEM of the client certificates that k3s has written for this node: kubelet, kube-proxy, k3s controller, as far as they
   * are there. k3s makes new ones at every start.
   */
  clientCertificates(): Promise<readonly string[]>;
  /** The gateway knows these certificates (PEM) now: the kubelet's key among them counts for `proveKubelet` from then on. */
  certificatesShown(certificates: readonly string[]): Promise<void>;
  /** Signs a text with the client key of this node's kubelet; undefined where there is none yet. */
  proveKubelet(text: string): Promise<KubeletProof | undefined>;
  /**
   * Whether it cannot go on without a join credential: it does not run, its Node is gone, or the server refuses what it has.
   * Reads the current state each time; unknown counts as no.
   */
  needsCredential(signal: AbortSignal): Promise<boolean>;
  /**
   * SIGTERM, wait, SIGKILL of its tree at the deadline. Pods live on. Idempotent; `atOnce` also ends the waiting of a stop
   * that is under way.
   */
  stop(options?: { readonly atOnce?: boolean }): Promise<void>;
  /** `stop`, then the pods of this k3s (and of no other) are killed and the join credential is wiped. Idempotent. */
  stopForGood(): Promise<void>;
}

export interface HostControl {
  /**
   * Ends the host; the first ending counts. The host emits the event (`stake.slashed`, `stake.ended`) and does what
   * follows. Returns at once.
   */
  stop(ending: NodeEnding): void;
  /** Registers again. The agent is left alone unless it needs the join credential that comes back. Returns at once. */
  reregister(reason: string): void;
  /**
   * A gateway says that another machine or process with this node's key is the one that runs its Node. Whether the host ends (with
   * `DAAS_NODE_CLONED`): one with a Ready agent never does, nor one whose agent comes back after a reboot.
   */
  cloned(detail: string): boolean;
}
/** Why a node must stop: what `stakeEnding` gives, and who said so. */
export interface NodeEnding {
  /** `slashed`, `unbonding`, `withdrawn`, `token_revoked`, `stake_short_after_slash`, `evicted`, `banned`, `left`. */
  readonly status: string;
  readonly cause: StopCause;
  /** Where the fact comes from: `chain`, `gateway`. */
  readonly source: string;
}
export const HostControl: Token<HostControl> = token('host-control');

/** Facts that survive `kill -9`; each plugin has a section of its own. */
export const PluginJournal: Token<Journal> = token('plugin-journal');
export const HostClock: Token<Clock> = token('clock');
