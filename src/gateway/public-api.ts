import type { ServerResponse } from 'node:http';
import {
  CertificatesBody,
  type CertificatesReply,
  ChallengeQuery,
  type ChallengeReply,
  HeartbeatBody,
  type HeartbeatReply,
  LeaveBody,
  type LeaveReply,
  OPENAPI_PATH,
  openApiDocument,
  PATHS,
  RegisterBody,
  type RegisterReply,
} from '#api';
import type { Clock, Log } from '#base';
import { MACHINE_CLAIMS } from '#seal';
import type { Admission } from './admission.ts';
import type { Admitted } from './admission-context.ts';
import { ApiProblem } from './api-problem.ts';
import { type EvidenceDesk, registerAttestationRoute } from './attestation-route.ts';
import { CHALLENGE_LIFE_MS, type Challenges } from './challenge.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { directivesFor } from './directives.ts';
import type { EventStreams } from './event-streams.ts';
import { registerEventsRoute } from './events-route.ts';
import type { FactCache } from './fact-cache.ts';
import { hasKubelet, kubeletIn } from './has-kubelet.ts';
import { parseRequest, pathOf, whenOver } from './http.ts';
import type { Departures } from './leaving.ts';
import type { LoadShedding } from './load-shedding.ts';
import type { Metrics } from './metrics.ts';
import { type ProofTaker, registerProofRoute } from './proof-route.ts';
import { parseBody, provenRequest } from './proven-request.ts';
import { createPublicServer, type PublicServer } from './public-server.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import { LIVE_PATH } from './self-probe.ts';
import type { CertificateDesk } from './show-certificates.ts';
import type { TokenUsage } from './token-usage.ts';
import type { Sender, Verifier } from './verifier.ts';

export interface PublicApiOptions {
  readonly config: RunnableGatewayConfig;
  readonly tls: { readonly cert: string; readonly key: string };
  /** `K10<hash>::`, the head of every join token. */
  readonly tokenHead: string;
  readonly verifier: Verifier;
  readonly admission: Admission;
  readonly certificates: CertificateDesk;
  readonly departures: Departures;
  readonly challenges: Challenges;
  readonly facts: FactCache;
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly usage: TokenUsage;
  readonly takeProof?: ProofTaker | undefined;
  /** Makes evidence of what this gateway runs. */
  readonly evidence?: EvidenceDesk | undefined;
  /** By which hosts hear of changes; left out: they ask. */
  readonly streams?: EventStreams | undefined;
  readonly metrics?: Metrics | undefined;
  readonly shedding: LoadShedding;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the gateway stops: admissions in progress are taken back. */
  readonly signal: AbortSignal;
}

/** The API of the workers. It trusts nothing that a proxy could write. */
export function createPublicApi(options: PublicApiOptions): PublicServer {
  const { config, verifier, admission, challenges, clock, log, signal } = options;
  const server = createPublicServer(options);
  const { app, connections } = server;

  app.get(PATHS.challenge, async (request): Promise<ChallengeReply> => {
    const query = parseRequest(ChallengeQuery, request.query);
    const nowMs = clock.nowMs();
    const { nonce } = challenges.issue(query.node_id, clock.monotonicMs());
    const reason = admission.preview(query.node_id, query.staker);
    return {
      nonce,
      gateway_id: config.gatewayId,
      timestamp: nowMs,
      expires_at: nowMs + CHALLENGE_LIFE_MS,
      admissible: reason === undefined,
      reason: reason ?? null,
      proof_claims: [...MACHINE_CLAIMS],
      kubelet_proof: true,
      ...evidenceAsked(config),
    };
  });

  app.post(PATHS.register, async (request, reply): Promise<RegisterReply> => {
    const proven = provenRequest(request, config.gatewayId);
    const registrant = await verifier.registration(proven, (proof) =>
      hasKubelet(kubeletIn(request), { ...proof, config, registry: options.registry, clock }),
    );
    const body = parseBody(RegisterBody, request, registrant.nodeId);
    const admitted = await admission.admit(
      {
        ...registrant,
        nodePasswordHash: body.node_password_hash,
        host: body.host,
        machineEvidence: body.evidence && { evidence: body.evidence, nonce: registrant.nonce },
      },
      { caller: untilGone(reply.raw), gateway: signal },
    );
    connections.prove(request.raw.socket, admitted.worker.nodeId);
    options.usage.registered(admitted.worker.nodeId, proven);
    log.info('Registered a worker', {
      event: 'worker.registered',
      requestId: request.id,
      nodeId: admitted.worker.nodeId,
      incarnation: admitted.worker.incarnation,
      hasJoinCredential: admitted.join !== undefined,
    });
    return registerReply(admitted, request.id, options);
  });

  app.post(PATHS.heartbeat, async (request): Promise<HeartbeatReply> => {
    const sender = await verifier.heartbeat(provenRequest(request, config.gatewayId));
    connections.prove(request.raw.socket, sender.worker.nodeId);
    const body = parseBody(HeartbeatBody, request, sender.worker.nodeId);
    return takeHeartbeat(sender, body, options);
  });

  registerCertificatesRoute(server, options);
  registerLeaveRoute(server, options);
  registerEventsRoute(server, options);
  registerProofRoute(app, options);
  registerAttestationRoute(app, { ...options, gatewayId: config.gatewayId, cert: () => options.tls.cert });
  registerOpenApiRoute(app);
  // For load balancers, and for the gateway's own probe of this port.
  app.get(LIVE_PATH, async () => ({ status: 'ok' }));

  refuseOtherMethods(app, options);
  return server;
}

function registerCertificatesRoute({ app, connections }: PublicServer, options: PublicApiOptions): void {
  const { config, verifier, certificates, clock } = options;
  app.post(PATHS.certificates, async (request): Promise<CertificatesReply> => {
    const holder = await verifier.holder(provenRequest(request, config.gatewayId));
    const { nodeId } = holder.worker;
    connections.prove(request.raw.socket, nodeId);
    const body = parseBody(CertificatesBody, request, nodeId);
    const pems = body.certificates;
    const { identities, isInForce } = await certificates.show({ holder, pems, requestId: request.id });
    const said = { node_id: nodeId, timestamp: clock.nowMs(), identities: [...identities] };
    return { status: 'vouched', ...said, in_force: isInForce };
  });
}

function refuseOtherMethods(app: PublicServer['app'], { takeProof, streams }: PublicApiOptions): void {
  const asked: readonly string[] = [PATHS.challenge, PATHS.attestation, PATHS.events];
  const isServed = (path: string) =>
    (path !== PATHS.chainProof || takeProof) && (path !== PATHS.events || streams);
  for (const path of Object.values(PATHS).filter(isServed))
    app.route({
      method: asked.includes(path) ? ['POST', 'PUT', 'PATCH', 'DELETE'] : ['GET', 'PUT', 'PATCH', 'DELETE'],
      url: path,
      handler: async (request) => {
        throw new ApiProblem('method_not_allowed', `${pathOf(request)} does not take ${request.method}`);
      },
    });
}

/** Made when it is first asked for: few ask. */
function registerOpenApiRoute(app: PublicServer['app']): void {
  let text: string | undefined;
  app.get(OPENAPI_PATH, async (_request, reply) => {
    text ??= JSON.stringify(openApiDocument());
    return reply.type('application/json').send(text);
  });
}

/** Hosts of an earlier version do not know it, and show nothing. */
function evidenceAsked({ admit }: RunnableGatewayConfig): Pick<ChallengeReply, 'worker_evidence'> {
  const { mode } = admit.attestation;
  return mode === 'off' ? {} : { worker_evidence: mode === 'require' ? 'required' : 'taken' };
}

function registerLeaveRoute({ app, connections }: PublicServer, options: PublicApiOptions): void {
  const { verifier, departures, config, clock } = options;
  app.post(PATHS.leave, async (request): Promise<LeaveReply> => {
    const holder = await verifier.holder(provenRequest(request, config.gatewayId));
    const { nodeId } = holder.worker;
    connections.prove(request.raw.socket, nodeId);
    parseBody(LeaveBody, request, nodeId);
    const status = await departures.leave(holder, request.id);
    return { status, node_id: nodeId, timestamp: clock.nowMs() };
  });
}

/** Aborts when the client closes the connection before it has its reply. */
function untilGone(reply: ServerResponse): AbortSignal {
  const gone = new AbortController();
  whenOver(reply, () => {
    if (!reply.writableFinished) gone.abort(new ApiProblem('request_timeout', 'the client has gone away'));
  });
  return gone.signal;
}

function registerReply(
  { worker, join }: Admitted,
  requestId: string,
  options: PublicApiOptions,
): RegisterReply {
  const { config, tokenHead, clock } = options;
  return {
    status: 'registered',
    node_id: worker.nodeId,
    timestamp: clock.nowMs(),
    message: join
      ? 'admitted: join with this credential before it expires'
      : 'known: the cluster hears the kubelet of this node, continue with the certificates it has',
    incarnation: worker.incarnation,
    request_id: requestId,
    join: join
      ? {
          server: config.server,
          token: tokenHead + join.credential.reveal(),
          expires_at: join.expiresAtMs,
        }
      : null,
    heartbeat: { interval_ms: config.heartbeatIntervalMs },
    node_labels: { 'k3s-daas.io/tier': worker.tier },
    taints: config.taintNodes ? [`k3s-daas.io/staked=${worker.tier}:NoSchedule`] : [],
    ...(worker.attestation && {
      evidence: { kind: worker.attestation.kind, problem: worker.attestation.problem ?? null },
    }),
  };
}

function takeHeartbeat(
  { worker, sequence }: Sender,
  body: HeartbeatBody,
  { config, registry, facts, reconciler, clock }: PublicApiOptions,
): HeartbeatReply {
  const nowMs = clock.nowMs();
  const before = registry.lastHeartbeat(worker.nodeId);
  const fact = facts.factOf(worker, before?.goodAtMs);
  registry.recordHeartbeat(worker.nodeId, {
    incarnation: worker.incarnation,
    sequence,
    lastHeartbeatMs: nowMs,
    agentState: body.agent_state,
    stakeStatus: body.stake_status,
    stakeAmount: body.stake_amount,
    runningPods: body.running_pods,
    resourceUsage: {
      cpuPercent: body.resource_usage.cpu_percent,
      memoryPercent: body.resource_usage.memory_percent,
      diskPercent: body.resource_usage.disk_percent,
    },
    goodAtMs: fact.kind === 'good' ? nowMs : (before?.goodAtMs ?? worker.registeredAtMs),
  });
  const directives = directivesFor(worker, {
    fact,
    isBreakerTripped: registry.breaker().trippedAtMs !== undefined,
    isInQuarantine: config.onProposal === 'quarantine' && facts.proposedUntilMs(worker) !== undefined,
  });
  reconciler.enqueue(worker.nodeId);
  return {
    status: 'acknowledged',
    timestamp: nowMs,
    message: directives.length === 0 ? 'all is well' : 'see the directives',
    directives: [...directives],
  };
}
