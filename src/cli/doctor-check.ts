import type { ChainPoint, Cluster, SealToken, StakeRecord } from '#domain';

/** One thing that can be wrong with a worker's machine. */
export interface Check {
  /** Stable: scripts choose by it. */
  readonly id: string;
  readonly group: 'machine' | 'k3s' | 'chain' | 'gateway' | 'stake' | 'service';
  /** The question, as a noun. */
  readonly what: string;
  /** A page below docs/. */
  readonly link: string;
  judge(probes: Probes): Promise<Verdict>;
}

/** `bad` needs action; `warn` may become bad; `unknown` could not be looked at. */
export type State = 'good' | 'warn' | 'bad' | 'unknown';

export interface Verdict {
  readonly state: State;
  /** What was seen. */
  readonly evidence: string;
  /** What to do, when there is something to do. */
  readonly fix?: string;
}

export const good = (evidence: string): Verdict => ({ state: 'good', evidence });
export const warn = (evidence: string, fix: string): Verdict => ({ state: 'warn', evidence, fix });
export const bad = (evidence: string, fix: string): Verdict => ({ state: 'bad', evidence, fix });
export const unknown = (evidence: string, fix?: string): Verdict =>
  fix === undefined ? { state: 'unknown', evidence } : { state: 'unknown', evidence, fix };

export interface WorkerFacts {
  readonly file: string | undefined;
  readonly nodeId: string;
  readonly stateDir: string;
  readonly healthPort: number;
  readonly warnings: readonly string[];
  /** The most gas that one transaction may cost. */
  readonly gasMist: bigint;
}

interface ChainView {
  readonly point: ChainPoint;
  readonly cluster: Cluster;
  readonly hasTrustPin: boolean;
  /** When the point was asked for and when it was there. */
  readonly askedAtMs: number;
}

export interface GatewayAnswer {
  readonly url: string;
  /** The gateway's clock, and ours in the middle of the question. */
  readonly clock?: { readonly theirsMs: number; readonly oursMs: number };
  readonly admissible?: boolean;
  readonly reason?: string | undefined;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface ServerCa {
  readonly url: string;
  readonly expected: string;
  readonly found: string;
}

/** What proves this machine, and what seals its node key. */
export interface TeeState {
  /** `attestation.evidence.provider` */
  readonly provider: string;
  /** What the provider saw; undefined for none. */
  readonly found?: { readonly isHere: boolean; readonly what: string } | undefined;
  readonly isSealed: boolean;
  /** Why the TPM cannot open the node key; undefined: it can. */
  readonly sealProblem?: string | undefined;
}

export interface UnitState {
  /** `active`, `failed`, `inactive` … or undefined without systemd. */
  readonly active: string | undefined;
  readonly exitCode: number | undefined;
  readonly isOurs: boolean;
}

/**
 * What the checks look through. Each method answers the same for one run, and throws what keeps it from answering: that becomes
 * `bad` when a user can mend it (a `DaasError` of configuration), else `unknown`.
 */
export interface Probes {
  readonly uid: number;
  worker(): Promise<WorkerFacts>;
  chain(): Promise<ChainView>;
  stake(): Promise<{ readonly record: StakeRecord | undefined; readonly token: SealToken | undefined }>;
  balance(): Promise<{
    readonly address: string;
    readonly mist: bigint;
    /** The key of the wallet is not on this machine, which pays no gas then. */
    readonly isElsewhere?: boolean;
  }>;
  gateways(): Promise<readonly GatewayAnswer[]>;
  /** undefined: this node has not joined yet. */
  serverCa(): Promise<ServerCa | undefined>;
  k3s(): Promise<{ readonly version: string; readonly binary: string; readonly dataDir: string }>;
  tee(): Promise<TeeState>;
  latch(): Promise<{ readonly detail: string } | undefined>;
  unit(): Promise<UnitState>;
  /** Text of a file of the machine; undefined when there is none. */
  text(path: string): Promise<string | undefined>;
  /** Ports on which a process of this machine listens. */
  listening(): Promise<ReadonlySet<number>>;
  /** The agent of this state directory runs. */
  isAgentRunning(): Promise<boolean>;
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
}
