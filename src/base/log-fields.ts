import { type ErrorCode, isErrorCode } from './error-codes.ts';
import { messageOf } from './errors.ts';

/**
 * The names of the facts in log records: one name for one fact, in every part of the program, so that a query finds it
 * everywhere. A new fact gets its name here. Names carry their unit (`delayMs`, `stakeMist`).
 *
 * Three of them look alike: `error` is a failure, `reason` is why something was decided, `detail` is a sentence for a human
 * that is neither.
 */
export interface KnownLogFields {
  /** The name of a documented event, such as `agent.ready`: what programs match on. */
  readonly event?: string | undefined;
  /** The failure; made by `errorFields`. `error.code` is explained in docs/errors.md. */
  readonly error?: ErrorField | undefined;
  readonly reason?: string | undefined;
  readonly detail?: string | undefined;

  // Which part of the program writes.
  readonly part?: string | undefined;
  readonly plugin?: string | undefined;
  readonly task?: string | undefined;

  // What it is about.
  readonly nodeId?: string | undefined;
  readonly nodeUid?: string | undefined;
  readonly incarnation?: number | undefined;
  readonly recordId?: string | undefined;
  readonly latchedRecordId?: string | undefined;
  readonly tokenId?: string | undefined;
  readonly clusterId?: string | undefined;
  /** A Sui address. */
  readonly wallet?: string | undefined;
  readonly gatewayId?: string | undefined;
  readonly gatewayUrl?: string | undefined;
  readonly gatewayEvidence?: string | undefined;
  readonly machineEvidence?: string | undefined;
  /** The URL of a full node. */
  readonly endpoint?: string | undefined;
  /** The servers and CA hashes that the cluster names on chain. */
  readonly servers?: readonly string[] | undefined;
  readonly caHashes?: readonly string[] | undefined;
  readonly objectId?: string | undefined;
  readonly digest?: string | undefined;
  readonly stakeMist?: bigint | undefined;
  /** The committee that the chain's facts are proven against. */
  readonly trustPin?: unknown;
  /** The newer checkpoint that the way from it has to lead through. */
  readonly recentPin?: unknown;
  readonly hasJoinCredential?: boolean | undefined;
  /** Of a stake record: `active`, `unbonding`, `slashed`, … */
  readonly status?: string | undefined;

  /** Names of settings. */
  readonly settings?: readonly string[] | undefined;

  // The agent's process.
  readonly pid?: number | undefined;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly agentState?: string | undefined;
  readonly binary?: string | undefined;
  /** Of k3s, or of an object on chain. */
  readonly version?: string | bigint | undefined;
  readonly dataDir?: string | undefined;
  /** The fields of a line that k3s wrote, as k3s names them. */
  readonly k3s?: Readonly<Record<string, unknown>> | undefined;

  // How often, how long.
  readonly attempt?: number | undefined;
  readonly failures?: number | undefined;
  readonly crashes?: number | undefined;
  readonly delayMs?: number | undefined;
  readonly deadlineMs?: number | undefined;

  // How many.
  readonly endpoints?: number | undefined;
  readonly unfinishedTasks?: number | undefined;
  readonly keptConnections?: number | undefined;
  readonly otherConnections?: number | undefined;
  readonly refusedConnections?: number | undefined;
  readonly displacedConnections?: number | undefined;

  /** A change of the cluster: `create`, `replace`. */
  readonly action?: string | undefined;
  // The step of a longer work: `register`, `latch`.
  readonly step?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;

  // Where.
  readonly path?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly socketPath?: string | undefined;
  readonly listenUrl?: string | undefined;
  readonly healthUrl?: string | undefined;
  readonly requestId?: string | undefined;
  /** The problem of the gateway's API that answers a request (docs/api.md). */
  readonly problem?: string | undefined;
}

export interface ErrorField {
  readonly code: ErrorCode;
  readonly message?: string | undefined;
}

/**
 * A failure as log fields: `{ error: { code, message } }`. Read by shape, because a plugin may bring its own copy of
 * `DaasError`. Anything without a code of ours is `DAAS_UNEXPECTED`.
 */
export function errorFields(error: unknown): { readonly error: ErrorField & { readonly message: string } } {
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown };
  // Node's own errors have codes too (ENOENT), which docs/errors.md does not explain.
  return { error: { code: isErrorCode(code) ? code : 'DAAS_UNEXPECTED', message: messageOf(error) } };
}
