import type { Clock } from '#base';
import type { AgentState, AgentSupervisor, HostPhase, ResourceUsage, WorkerRegistered } from '#plugin';
import type { Attention, OpenNotice } from './attention.ts';
import type { HostEventBus } from './events.ts';
import type { HostHealth } from './health.ts';

/** What a host can say about itself at one moment; no member is secret. Times are milliseconds since the epoch. */
export interface HostStatus {
  readonly nodeId: string;
  readonly nowMs: number;
  readonly startedAtMs: number;
  readonly phase: HostPhase;
  readonly phaseSinceMs: number;
  readonly phaseDetail: string | undefined;
  readonly stake: { readonly recordId: string; readonly stakeMist: bigint } | undefined;
  readonly token:
    | {
        readonly tokenId: string;
        /** Absent until it was looked at. */
        readonly expiresAtEpoch?: bigint | undefined;
        readonly epoch?: bigint | undefined;
      }
    | undefined;
  readonly gateway: (WorkerRegistered & { readonly registeredAtMs: number }) | undefined;
  readonly agent: AgentState | undefined;
  readonly heartbeat:
    | {
        readonly acknowledgedAtMs: number | undefined;
        /** Failures since the last acknowledged one. */
        readonly failures: number;
        readonly lastFailure: string | undefined;
      }
    | undefined;
  readonly runningPods: number | undefined;
  readonly usage: ResourceUsage | undefined;
  readonly health: HostHealth;
  readonly attention: readonly OpenNotice[];
}

type Known = Omit<HostStatus, 'nowMs' | 'agent' | 'runningPods' | 'usage' | 'health' | 'attention'>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface StatusParts {
  readonly nodeId: string;
  readonly events: HostEventBus;
  readonly clock: Clock;
  readonly attention: Attention;
  readonly health: () => HostHealth;
}

/** How long figures are shown again, instead of asking the container runtime once more. */
const figuresForMs = 2_000;

/** Follows the events of a host; `read` adds what the agent measures. */
export function followStatus({ nodeId, events, clock, attention, health }: StatusParts): {
  read(agent: AgentSupervisor | undefined, signal?: AbortSignal): Promise<HostStatus>;
} {
  const known = startOfStatus(nodeId, clock.nowMs());
  followLife(known, events, clock);
  followStake(known, events);
  const figuresOf = rareFigures(clock);
  return {
    async read(agent, signal) {
      const [runningPods, usage] = await figuresOf(agent, signal);
      return {
        ...known,
        nowMs: clock.nowMs(),
        agent: agent?.state(),
        runningPods,
        usage,
        health: health(),
        attention: attention.open(),
      };
    },
  };
}

function startOfStatus(nodeId: string, nowMs: number): Mutable<Known> {
  return {
    nodeId,
    startedAtMs: nowMs,
    phase: 'configure',
    phaseSinceMs: nowMs,
    phaseDetail: undefined,
    stake: undefined,
    token: undefined,
    gateway: undefined,
    heartbeat: undefined,
  };
}

function followLife(known: Mutable<Known>, events: HostEventBus, clock: Clock): void {
  events.on('phase.entered', ({ phase, detail }) => {
    known.phase = phase;
    known.phaseSinceMs = clock.nowMs();
    known.phaseDetail = detail;
  });
  events.on('worker.registered', (registered) => {
    known.gateway = { ...registered, registeredAtMs: clock.nowMs() };
    if (known.token?.tokenId !== registered.sealTokenId) known.token = { tokenId: registered.sealTokenId };
  });
  events.on('heartbeat.acknowledged', () => {
    known.heartbeat = { acknowledgedAtMs: clock.nowMs(), failures: 0, lastFailure: undefined };
  });
  events.on('heartbeat.failed', ({ error }) => {
    const { acknowledgedAtMs, failures = 0 } = known.heartbeat ?? {};
    const lastFailure = error.message ?? error.code;
    known.heartbeat = { acknowledgedAtMs, failures: failures + 1, lastFailure };
  });
}

function followStake(known: Mutable<Known>, events: HostEventBus): void {
  const take = ({ recordId, stakeMist }: { readonly recordId: string; readonly stakeMist: bigint }) => {
    known.stake = { recordId, stakeMist };
  };
  events.on('stake.created', take);
  events.on('stake.found', take);
  events.on('seal.read', ({ recordId, stakeMist, tokenId, expiresAtEpoch, epoch }) => {
    known.stake = { recordId, stakeMist };
    known.token = { tokenId, expiresAtEpoch, epoch };
  });
}

type Figures = readonly [number | undefined, ResourceUsage | undefined];

/** Whoever asks often gets the same figures for a moment. */
function rareFigures(clock: Clock) {
  let last: { readonly atMs: number; readonly figures: Figures } | undefined;
  return async (agent: AgentSupervisor | undefined, signal: AbortSignal | undefined): Promise<Figures> => {
    if (!agent) return [undefined, undefined];
    if (last && clock.monotonicMs() - last.atMs < figuresForMs) return last.figures;
    const figures = await Promise.all([
      agent.runningPods(signal).catch(() => undefined),
      agent.resourceUsage().catch(() => undefined),
    ]);
    // A caller that has gone away leaves figures that nobody should be shown.
    if (!signal?.aborted) last = { atMs: clock.monotonicMs(), figures };
    return figures;
  };
}
