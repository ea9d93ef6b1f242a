import { backoffDelayMs, type Clock, errorFields, type Log } from '#base';
import type { ChainReader } from '#domain';
import {
  type AgentSupervisor,
  challengeGateway,
  type GatewayConnector,
  type WorkerRegistered,
} from '#plugin';
import { factsOf } from './errors.ts';
import type { HostEventBus } from './events.ts';

export interface ShowingParts {
  readonly agent: Pick<AgentSupervisor, 'certificatesShown' | 'clientCertificates' | 'state'>;
  readonly chain: Pick<ChainReader, 'cluster'> & { readonly wallet: string };
  readonly gateways: GatewayConnector;
  readonly events: HostEventBus;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** While an agent starts its kubelet asks after 0.1, 0.3, 0.7, 1.5 … s: what is shown within a second counts by the fourth. */
const startingMs = 100;
/** k3s writes three, the last of them possibly after its kubelet is well; flannel waits 30 s for that one. */
const allOfThem = 3;
const incompleteMs = 250;
/** An agent that runs writes no new certificates; this is for those that somebody else has replaced. */
const runningMs = 5_000;
const retry = { baseMs: 250, maxMs: 5_000 };
/** What a gateway refuses for a reason does not get better by asking often. */
const refusedMs = 30_000;

interface Showing extends ShowingParts {
  registered: WorkerRegistered | undefined;
  /** The registration and certificates that were shown last. */
  shown: string;
  /** What a gateway has refused for a reason, and until when it is not shown again. */
  refused: { readonly key: string; readonly untilMs: number } | undefined;
  failures: number;
}

/**
 * Shows the agent's client certificates to the gateway as soon as k3s has written them, at every start and registration:
 * until then they count for nothing in the cluster. Resolves when the signal aborts.
 */
export async function showCertificates(parts: ShowingParts): Promise<void> {
  const { events, clock, signal } = parts;
  const showing: Showing = { ...parts, registered: undefined, shown: '', refused: undefined, failures: 0 };
  let wake = Promise.withResolvers<void>();
  const stopListening = [
    events.on('worker.registered', (registered) => {
      showing.registered = registered;
      wake.resolve();
    }),
    events.on('agent.started', () => wake.resolve()),
  ];
  while (!signal.aborted) {
    const delayMs = await showIfNew(showing);
    const resting = new AbortController();
    const rest = clock.sleep(delayMs, AbortSignal.any([signal, resting.signal])).catch(() => undefined);
    await Promise.race([rest, wake.promise]);
    resting.abort();
    wake = Promise.withResolvers();
  }
  for (const stop of stopListening) stop();
}

/** Resolves with how long to wait before the next look. */
async function showIfNew(showing: Showing): Promise<number> {
  const { agent, clock, registered } = showing;
  if (!registered) return runningMs;
  const certificates = await agent.clientCertificates();
  const isComplete = certificates.length === allOfThem;
  const isStarting = agent.state().kind === 'starting';
  const calmMs = isStarting ? startingMs : isComplete ? runningMs : incompleteMs;
  const key = JSON.stringify([registered.incarnation, registered.gatewayId, certificates]);
  if (key === showing.shown || certificates.length === 0) return calmMs;
  // Those that k3s writes meanwhile are not held up by the refusal of these.
  if (key === showing.refused?.key && clock.monotonicMs() < showing.refused.untilMs) return calmMs;
  try {
    await show(showing, registered, certificates);
    showing.shown = key;
    showing.failures = 0;
    return calmMs;
  } catch (error) {
    return afterFailure(showing, { key, calmMs, error });
  }
}

function afterFailure(
  showing: Showing,
  { key, calmMs, error }: { readonly key: string; readonly calmMs: number; readonly error: unknown },
): number {
  const { clock, log, signal } = showing;
  if (signal.aborted) return 0;
  const { isRetryable } = factsOf(error);
  const delayMs = isRetryable ? backoffDelayMs(showing.failures, retry, Math.random) : refusedMs;
  const isNews = showing.failures === 0 || (!isRetryable && showing.refused?.key !== key);
  if (isNews)
    log.warn('The agent’s certificates could not be shown to the gateway', {
      ...errorFields(error),
      delayMs,
    });
  showing.failures += 1;
  if (isRetryable) return delayMs;
  showing.refused = { key, untilMs: clock.monotonicMs() + refusedMs };
  return calmMs;
}

async function show(
  { agent, chain, gateways, events, log, signal }: Showing,
  registered: WorkerRegistered,
  certificates: readonly string[],
): Promise<void> {
  // Fails for a gateway that the chain names no longer: the registration with another one shows them there.
  const { connection: opened, challenge } = await challengeGateway(registered, { chain, gateways }, signal);
  await using connection = opened;
  const request = { challenge, sealTokenId: registered.sealTokenId, certificates };
  const { identities, isInForce } = await connection.showCertificates(request, signal);
  await agent.certificatesShown(certificates).catch((error: unknown) => {
    log.warn('The kubelet’s key could not be kept: a reboot while registrations are frozen may need it', {
      ...errorFields(error),
    });
  });
  events.emit('certificates.vouched', { identities, isInForce });
}
