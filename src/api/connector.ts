import type { z } from 'zod';
import { type Clock, DaasError, displayText, gatewayErrorCode } from '#base';
import type { GatewayEntry } from '#domain';
import type {
  Challenge,
  EventsRequest,
  GatewayConnection,
  GatewayConnector,
  HeartbeatReply as Heartbeat,
  HeartbeatRequest,
  KubeletProof,
  LeaveRequest,
  RegisterRequest,
  Registration,
  ShowCertificatesRequest,
  VouchedCertificates,
} from '#plugin';
import {
  kubeletStatement,
  MACHINE_CLAIMS,
  type Machine,
  PROOF_HEADER,
  type ProofFreshness,
  type ProofSigner,
} from '#seal';
import { type AttestedKeys, type Attestor, createAttestedKeys } from './attested-keys.ts';
import { listen } from './event-stream.ts';
import { createGatewayTime, type GatewayTime } from './gateway-time.ts';
import { isProblemCode, PROBLEMS } from './problems.ts';
import { toChallenge, toRegistration } from './replies.ts';
import { heartbeatBody, registerBody } from './request-bodies.ts';
import { handOverProofs, isStakeUnseen, type StakeProofs } from './stake-proofs.ts';
import { asker, createTransport, type HttpReply, type Transport } from './transport.ts';
import {
  type CertificatesBody,
  CertificatesReply,
  ChallengeReply,
  HeartbeatReply,
  type LeaveBody,
  LeaveReply,
  PATHS,
  Problem,
  RegisterReply,
} from './wire.ts';
import { evidenceFor, type WorkerEvidence, withoutEvidence } from './worker-evidence.ts';

export interface ConnectorOptions {
  readonly signer: ProofSigner;
  readonly clock: Clock;
  /** Where this host runs; signed for gateways that read it. */
  readonly machine?: Machine | undefined;
  /** Signs with the kubelet's client key; asked at registrations, for gateways that take it. */
  readonly proveKubelet?: ((text: string) => Promise<KubeletProof | undefined>) | undefined;
  /** Shown to a gateway that does not find the stake. */
  readonly stakeProofs?: StakeProofs | undefined;
  /** PEM; used only for gateways whose entry on chain has no TLS pin. */
  readonly ca?: string;
  /** For one request, the TLS handshake included. */
  readonly timeoutMs?: number;
  /** Judges what a gateway runs before anything is sent to it. Left out: gateways are not asked for evidence. */
  readonly attestor?: Attestor | undefined;
  /** Makes evidence of this machine, for gateways that ask for it. */
  readonly evidence?: WorkerEvidence | undefined;
}

const TIMEOUT_MS = 10_000;

/**
 * The worker's client of the gateway's API (docs/api.md).
 *
 * Its connections throw `DaasError`s: `DAAS_GATEWAY_<CODE>` for a problem reply (`DAAS_GATEWAY_BANNED`; details `status`,
 * `reason`, `requestId`, `retryAfterMs`), `DAAS_GATEWAY_UNREACHABLE` and `DAAS_GATEWAY_TIMEOUT` (retryable),
 * `DAAS_GATEWAY_PIN_MISMATCH`, `DAAS_GATEWAY_NOT_ATTESTED`, `DAAS_GATEWAY_UNPINNED`, `DAAS_GATEWAY_URL_INSECURE`, `DAAS_GATEWAY_REPLY_INVALID`.
 */
export function createGatewayConnector(options: ConnectorOptions): GatewayConnector {
  const shown = new Set<string>();
  const attested = new Map<string, AttestedKeys>();
  return {
    connect: (gateway) =>
      createConnection(gateway, options, { shown, keys: keysOf(gateway, options, attested) }),
  };
}

/** Kept over connections: a gateway makes evidence for each question. */
function keysOf(
  gateway: GatewayEntry,
  { attestor, clock, ca, timeoutMs = TIMEOUT_MS }: ConnectorOptions,
  attested: Map<string, AttestedKeys>,
): AttestedKeys | undefined {
  if (!attestor) return undefined;
  const { id, url, attestationKind, measurement, tlsPins } = gateway;
  // What the chain says of it is part of what was judged.
  const name = JSON.stringify([id, url, attestationKind, [...measurement], tlsPins.map((pin) => [...pin])]);
  const known = attested.get(name);
  if (known) return known;
  const keys = createAttestedKeys({ gateway, attestor, clock, ask: asker({ gateway, ca, timeoutMs }) });
  attested.set(name, keys);
  return keys;
}

/** What every request of a connection works with. */
interface ConnectionContext {
  readonly gateway: GatewayEntry;
  readonly signer: ProofSigner;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly time: GatewayTime;
  readonly machine: Machine | undefined;
  readonly proveKubelet: ConnectorOptions['proveKubelet'];
  readonly stakeProofs: StakeProofs | undefined;
  readonly evidence: WorkerEvidence | undefined;
  readonly isGatewayAttested: boolean;
  /** Gateway and token of the proofs that were handed over: a gateway takes few of one address. */
  readonly shown: Set<string>;
  /** Said by the last challenge. */
  readsMachine: boolean;
  takesKubeletProof: boolean;
  evidenceAsked: ChallengeReply['worker_evidence'];
}

function createConnection(
  gateway: GatewayEntry,
  { ca, timeoutMs = TIMEOUT_MS, ...options }: ConnectorOptions,
  { shown, keys }: { readonly shown: Set<string>; readonly keys: AttestedKeys | undefined },
): GatewayConnection {
  const transport = createTransport({ gateway, ca, timeoutMs, keys });
  const context: ConnectionContext = {
    gateway,
    signer: options.signer,
    clock: options.clock,
    transport,
    time: createGatewayTime(options.clock),
    machine: options.machine,
    proveKubelet: options.proveKubelet,
    stakeProofs: options.stakeProofs,
    evidence: options.evidence,
    isGatewayAttested: keys !== undefined,
    shown,
    readsMachine: false,
    takesKubeletProof: false,
    evidenceAsked: undefined,
  };
  return {
    gateway,
    challenge: ({ nodeId, staker }, signal) => challenge(context, { nodeId, staker }, signal),
    register: (request, signal) => register(context, request, signal),
    heartbeat: (request, signal) => heartbeat(context, request, signal),
    showCertificates: (request, signal) => showCertificates(context, request, signal),
    leave: (request, signal) => leave(context, request, signal),
    events: (request, signal) => events(context, request, signal),
    async [Symbol.asyncDispose]() {
      transport.close();
    },
  };
}

type Signal = AbortSignal | undefined;

async function challenge(
  context: ConnectionContext,
  { nodeId, staker }: { readonly nodeId: string; readonly staker: string },
  signal: Signal,
): Promise<Challenge> {
  const { clock, transport } = context;
  const query = new URLSearchParams({ node_id: nodeId, staker });
  const path = `${PATHS.challenge}?${query.toString()}`;
  const sentAtMs = clock.monotonicMs();
  const answer = await transport.send({ method: 'GET', path, isAnsweredAtOnce: true, signal });
  const reply = read(context, answer, { schema: ChallengeReply, sentAtMs });
  context.readsMachine = MACHINE_CLAIMS.every((claim) => reply.proof_claims?.includes(claim));
  context.takesKubeletProof = reply.kubelet_proof === true;
  context.evidenceAsked = reply.worker_evidence;
  const told = toChallenge(reply);
  if (!told.admissible || !withoutEvidence(context)) return told;
  return { ...told, admissible: false, reason: 'evidence_missing' };
}

async function register(
  context: ConnectionContext,
  request: RegisterRequest,
  signal: Signal,
): Promise<Registration> {
  const { signer, time, clock } = context;
  const { sealTokenId } = request;
  const freshness = { kind: 'nonce', nonce: request.challenge.nonce } as const;
  const kubelet = await kubeletProof(context, request);
  const evidence = await evidenceFor(context, request, signal);
  const body = {
    ...registerBody(signer.nodeId, time.nowMs(), request),
    ...(kubelet && { kubelet }),
    ...(evidence && { evidence }),
  };
  const schema = RegisterReply;
  const asked = { path: PATHS.register, body, sealTokenId, freshness, schema };
  const reply = await post(context, asked, signal).catch(async (refusal: unknown) => {
    throw await shownProofs(context, refusal, sealTokenId, signal);
  });
  // Over a connection to a key that evidence is bound to, or none at all.
  const gatewayEvidence = context.isGatewayAttested ? context.gateway.attestationKind : undefined;
  return { ...toRegistration(reply, clock), gatewayEvidence };
}

/** A host that cannot sign registers all the same: only a node whose key is used in two places needs it. */
async function kubeletProof(
  { signer, gateway, proveKubelet, takesKubeletProof }: ConnectionContext,
  { challenge: { nonce } }: RegisterRequest,
): Promise<KubeletProof | undefined> {
  if (!proveKubelet || !takesKubeletProof) return undefined;
  const text = kubeletStatement({ gatewayId: gateway.id, nodeId: signer.nodeId, nonce });
  return proveKubelet(text).catch(() => undefined);
}

/** Once for each gateway and token: what did not help is not shown again. */
async function shownProofs(
  { gateway, transport, stakeProofs, shown }: ConnectionContext,
  refusal: unknown,
  sealTokenId: string,
  signal: Signal,
): Promise<unknown> {
  const name = `${gateway.id} ${sealTokenId}`;
  if (!stakeProofs || shown.has(name) || !isStakeUnseen(refusal)) return refusal;
  const proofs = await stakeProofs(sealTokenId).catch(() => []);
  const { answer, areAnswered } = await handOverProofs(refusal, proofs, transport, signal);
  if (areAnswered) shown.add(name);
  return answer;
}

async function heartbeat(
  context: ConnectionContext,
  request: HeartbeatRequest,
  signal: Signal,
): Promise<Heartbeat> {
  const { signer, time } = context;
  const { sealTokenId, incarnation, sequence } = request;
  const freshness = { kind: 'sequence', incarnation, sequence } as const;
  const body = heartbeatBody(signer.nodeId, time.nowMs(), request);
  const schema = HeartbeatReply;
  const reply = await post(context, { path: PATHS.heartbeat, body, sealTokenId, freshness, schema }, signal);
  return { timestampMs: reply.timestamp, message: reply.message, directives: reply.directives };
}

async function showCertificates(
  context: ConnectionContext,
  { challenge: { nonce }, sealTokenId, certificates }: ShowCertificatesRequest,
  signal: Signal,
): Promise<VouchedCertificates> {
  const { signer, time } = context;
  const freshness = { kind: 'nonce', nonce } as const;
  const body: CertificatesBody = {
    node_id: signer.nodeId,
    timestamp: time.nowMs(),
    certificates: [...certificates],
  };
  const schema = CertificatesReply;
  const asked = { path: PATHS.certificates, body, sealTokenId, freshness, schema };
  const { identities, in_force: isInForce } = await post(context, asked, signal);
  return { identities, isInForce };
}

async function leave(
  context: ConnectionContext,
  { challenge: { nonce }, sealTokenId }: LeaveRequest,
  signal: Signal,
): Promise<'leaving' | 'left'> {
  const { signer, time } = context;
  const freshness = { kind: 'nonce', nonce } as const;
  const body: LeaveBody = { node_id: signer.nodeId, timestamp: time.nowMs() };
  const asked = { path: PATHS.leave, body, sealTokenId, freshness, schema: LeaveReply };
  return (await post(context, asked, signal)).status;
}

async function events(
  context: ConnectionContext,
  request: EventsRequest,
  signal: AbortSignal,
): Promise<void> {
  const refusal = await listen({ ...context, machine: machineOf(context) }, request, signal);
  if (refusal) throw problemError(refusal, parseJson(refusal.body), context.gateway);
}

interface SignedPost<T> {
  readonly path: string;
  readonly body: unknown;
  readonly sealTokenId: string;
  readonly freshness: ProofFreshness;
  readonly schema: z.ZodType<T>;
}

/** Only for a gateway that reads it: others reject the claims. */
function machineOf({ readsMachine, machine }: ConnectionContext): Machine | undefined {
  return readsMachine ? machine : undefined;
}

async function post<T>(
  context: ConnectionContext,
  { path, body, sealTokenId, freshness, schema }: SignedPost<T>,
  signal: Signal,
): Promise<T> {
  const { gateway, signer, clock, transport, time } = context;
  const text = JSON.stringify(body);
  const sealToken = await signer.sign({
    sealTokenId,
    freshness,
    audience: gateway.id,
    method: 'POST',
    path,
    body: text,
    nowMs: time.nowMs(),
    machine: machineOf(context),
  });
  const sentAtMs = clock.monotonicMs();
  const headers = { [PROOF_HEADER]: sealToken };
  const isAnsweredAtOnce = path === PATHS.heartbeat;
  const asked = { method: 'POST', path, headers, body: text, isAnsweredAtOnce, signal } as const;
  return read(context, await transport.send(asked), { schema, sentAtMs });
}

function read<T>(
  { gateway, time }: ConnectionContext,
  answer: HttpReply,
  { schema, sentAtMs }: { readonly schema: z.ZodType<T>; readonly sentAtMs: number },
): T {
  const json = parseJson(answer.body);
  time.learn(json, sentAtMs);
  if (answer.status !== 200) throw problemError(answer, json, gateway);
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw invalidReply(answer, gateway);
  return parsed.data;
}

function problemError(answer: HttpReply, json: unknown, gateway: GatewayEntry): DaasError {
  const parsed = Problem.safeParse(json);
  if (!parsed.success) return invalidReply(answer, gateway);
  const { code, detail, request_id: requestId } = parsed.data;
  const known = isProblemCode(code) ? PROBLEMS[code] : undefined;
  const isServerSide = answer.status >= 500 || answer.status === 429;
  return new DaasError(
    gatewayErrorCode(code),
    `the gateway at ${gateway.url} refused: ${displayText(detail)} (request ${displayText(requestId)})`,
    {
      isRetryable: known?.isRetryable ?? isServerSide,
      ...(known && { exitCode: known.exitCode }),
      details: {
        gateway: gateway.id,
        status: answer.status,
        reason: code,
        requestId,
        ...(answer.retryAfterMs !== undefined && { retryAfterMs: answer.retryAfterMs }),
      },
    },
  );
}

function invalidReply(answer: HttpReply, gateway: GatewayEntry): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_REPLY_INVALID',
    `${gateway.url} answered with HTTP ${answer.status} and a body that no gateway sends: check that it is a gateway, and that its version fits this worker's`,
    { isRetryable: answer.status >= 500, details: { gateway: gateway.id, status: answer.status } },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
