/**
 * What is read on chain, in the words of the contracts (docs/contracts.md). Ids are `0x` and 64 hex digits, amounts
 * MIST, times ms since the epoch unless an epoch is said. The chain layer fills these from BCS; the verdict, the
 * gateway and the plugins decide on them.
 */
export type StakeStatus = 'active' | 'unbonding' | 'slashed' | 'withdrawn';
export type StakeType = 'node' | 'user' | 'admin';
/** The tiers, lowest first, by the number that the contracts know them by (`cluster::tier_of`). */
export const GATEWAY_TIERS = ['basic', 'standard', 'premium'] as const;
export type GatewayTier = (typeof GATEWAY_TIERS)[number];

export interface StakeRecord {
  readonly id: string;
  readonly cluster: string;
  readonly staker: string;
  /** Empty for user and admin stakes. */
  readonly nodeId: string;
  readonly stakeType: StakeType;
  readonly stakeMist: bigint;
  readonly status: StakeStatus;
  readonly stakedAtMs: number;
  /** The minimum of the cluster when it was staked. */
  readonly minimumWhenStakedMist: bigint;
  /** 0 until unbonding begins. */
  readonly unlockAtMs: number;
  readonly slashedMist: bigint;
  readonly slashReason: string;
  /** The one live Seal token. */
  readonly token: string | undefined;
  readonly tokenSequence: bigint;
  readonly openProposals: bigint;
  /** The same, one by one: those past their end, or without the vote of a slasher in force, hold nothing. */
  readonly proposals: readonly OpenProposal[];
  /** From then on no proposal holds or takes anything any more; 0 until unbonding begins. */
  readonly holdUntilMs: number;
  /** Its place in the cluster's rings: the sequence of its last change. */
  readonly lastSequence: bigint;
  /** The chain's time of its last write, signed by validators; `undefined` where nothing is proven. */
  readonly writtenAtMs?: number | undefined;
  /** The chain's time of the last probe that found this version to be the newest; `undefined`: none did. */
  readonly probedAtMs?: number | undefined;
}

/** A slash proposal, as the record it is about notes it. */
export interface OpenProposal {
  readonly id: string;
  readonly proposer: string;
  /** All who have voted for it and not taken the vote back. */
  readonly voters: readonly string[];
  readonly expiresAtMs: number;
}

export interface SealToken {
  readonly id: string;
  readonly tokenHash: string;
  readonly owner: string;
  readonly cluster: string;
  readonly stakeId: string;
  readonly nodeId: string;
  /** Ed25519 public key of the node, 32 bytes. */
  readonly holderKey: Uint8Array;
  readonly stakeMist: bigint;
  readonly permissions: readonly string[];
  readonly issuedEpoch: bigint;
  readonly expiresAtEpoch: bigint;
  readonly gatewayTier: GatewayTier;
  readonly sequence: bigint;
}

export interface ClusterParameters {
  readonly minimumWorkerStakeMist: bigint;
  readonly minimumTopUpMist: bigint;
  /** Lowest stake of the tiers, ascending: reads; worker (`nodes:write`); everything. */
  readonly tiersMist: readonly [bigint, bigint, bigint];
  /** What each of them adds, as `resource:verb`; a stake has those of its tier and of all below. */
  readonly tierPermissions: readonly [readonly string[], readonly string[], readonly string[]];
  readonly unbondingMs: number;
  readonly longestTokenLifeEpochs: bigint;
  readonly slashThreshold: number;
  readonly proposalLifeMs: number;
  /** How long a staker can answer a slash proposal before it can be executed. */
  readonly challengeMs: number;
  readonly treasury: string;
}

export interface GatewayEntry {
  readonly id: string;
  /** `https://…` */
  readonly url: string;
  /** SHA-256 of the TLS key's SubjectPublicKeyInfo, 32 bytes each; at most two. */
  readonly tlsPins: readonly Uint8Array[];
  /** `none` for a gateway outside a TEE. */
  readonly attestationKind: string;
  readonly measurement: Uint8Array;
  /** Ed25519, 32 bytes. */
  readonly signingKey: Uint8Array;
  readonly tier: GatewayTier;
  readonly isLive: boolean;
}

/** One change of a record, as the cluster's rings name it. */
export interface RingEntry {
  readonly record: string;
  readonly sequence: bigint;
}

export interface Cluster {
  readonly id: string;
  readonly version: bigint;
  readonly admin: string;
  readonly slashers: readonly string[];
  /** The parameters in force at the time asked for: the pending ones count from their hour on. */
  readonly parameters: ClusterParameters;
  readonly pending:
    | {
        readonly parameters: ClusterParameters;
        readonly slashers: readonly string[];
        readonly effectiveAtMs: number;
      }
    | undefined;
  /** Rises with each act that changes what stakers agree to; a stake names the version it was made under. */
  readonly termsVersion: bigint;
  /** Of cluster, version and the parameters that will hold: what `stake.acceptTerms` names. Time does not change it. */
  readonly termsFingerprint: string;
  /** URLs of the Kubernetes server (`https://host:6443`), at most 4; empty: unchecked. */
  readonly servers: readonly string[];
  /** CA hashes of the server, as k3s' join tokens name them (`K10<hash>::`), 32 bytes each, at most 2; empty: unchecked. */
  readonly caHashes: readonly Uint8Array[];
  readonly gateways: readonly GatewayEntry[];
  readonly changeSequence: bigint;
  /** Slash, unbonding, withdrawal, revocation; in the order of last change. */
  readonly criticalRing: readonly RingEntry[];
  /** Of these, the slashes and the unstakes that the admin has forced. */
  readonly forcedRing: readonly RingEntry[];
  readonly otherRing: readonly RingEntry[];
  /** The highest sequence that has fallen out of each ring: a reader behind it makes a full pass. */
  readonly droppedCritical: bigint;
  readonly droppedOther: bigint;
  /** The `Table<String, ID>` of live records by node id. */
  readonly recordsTable: string;
  /** The chain's time of its last write, signed by validators; `undefined` where nothing is proven. */
  readonly writtenAtMs?: number | undefined;
  /** The chain's time of the last probe that found this version to be the newest; `undefined`: none did. */
  readonly probedAtMs?: number | undefined;
}

export interface ChainPoint {
  readonly epoch: bigint;
  /** The chain's own clock, ms. */
  readonly timestampMs: number;
}

/**
 * The reads every part decides on. A method throws a retryable `DaasError` with code `DAAS_CHAIN_UNAVAILABLE` when the
 * fact cannot be read (unknown is not bad), and returns `undefined` for what is read not to exist.
 */
export interface ChainReader {
  cluster(signal?: AbortSignal): Promise<Cluster>;
  records(ids: readonly string[], signal?: AbortSignal): Promise<Map<string, StakeRecord | undefined>>;
  /** Objects of another type, package or cluster are `undefined`: a look-alike is not a token. */
  tokens(ids: readonly string[], signal?: AbortSignal): Promise<Map<string, SealToken | undefined>>;
  /**
   * The live record of a node id, by the cluster's table. Throws `DAAS_RECORD_MISMATCH` (retryable) when the record is of
   * another node.
   */
  liveRecordOf(nodeId: string, signal?: AbortSignal): Promise<string | undefined>;
  point(signal?: AbortSignal): Promise<ChainPoint>;
}
