import type { Clock } from '#base';
import type { Health, HostPhase } from '#plugin';
import type { HostEventBus } from './events.ts';
import type { HealthRegistry } from './health.ts';
import type { HostEnd } from './host-end.ts';

/** How often the checks of the plugins run once the node has joined, beside the events after which they can say something else. */
const healthIntervalMs = 5_000;
const tellingEvents = [
  'heartbeat.acknowledged',
  'heartbeat.failed',
  'registration.failed',
  'worker.registered',
  'agent.state.changed',
  'attention.needed',
  'attention.ended',
] as const;

interface PhaseParts {
  readonly events: Pick<HostEventBus, 'emit' | 'on'>;
  /** While a plugin is not ready, a joined host is degraded. */
  readonly health: Pick<HealthRegistry, 'notReady'>;
  readonly clock: Clock;
  readonly end: Pick<HostEnd, 'signal' | 'hasBegun'>;
}

/** The phase a host is in. After the join it alternates between `run` and `degraded`. */
export class Phases {
  readonly #parts: PhaseParts;
  readonly #degraded = new Map<string, string>();
  #phase: HostPhase = 'configure';

  constructor(parts: PhaseParts) {
    this.#parts = parts;
  }

  get hasJoined(): boolean {
    return this.#phase === 'run' || this.#phase === 'degraded';
  }

  enter(phase: HostPhase, detail?: string): void {
    this.#phase = phase;
    this.#parts.events.emit('phase.entered', detail === undefined ? { phase } : { phase, detail });
  }

  /** An agent that runs on the certificates of an earlier join stays in its phase while the host catches up. */
  enterJoining(phase: 'stake' | 'seal' | 'register'): void {
    if (!this.hasJoined) this.enter(phase);
  }

  /** Why the host itself is degraded; `undefined` takes that back. */
  degrade(source: string, detail: string | undefined): void {
    if (detail === undefined) this.#degraded.delete(source);
    else this.#degraded.set(source, detail);
    if (this.hasJoined) this.#showHealth();
  }

  /** `run` and `degraded` follow the health of the plugins until the host ends. */
  async followHealth(): Promise<void> {
    const { clock, end, events } = this.#parts;
    // Not before the one who emits has finished.
    const stops = tellingEvents.map((event) =>
      events.on(event, () => queueMicrotask(() => this.#showHealth())),
    );
    while (!end.signal.aborted) {
      this.#showHealth();
      await clock.sleep(healthIntervalMs, end.signal).catch(() => undefined);
    }
    for (const stop of stops) stop();
  }

  health(): Health {
    const reasons = [...this.#degraded].map(asReason);
    return {
      live: !this.#parts.end.hasBegun,
      ready: this.hasJoined,
      detail: [this.#phase, ...reasons].join('; '),
    };
  }

  #showHealth(): void {
    const { end, health } = this.#parts;
    if (end.hasBegun) return;
    const reasons = [...this.#degraded, ...health.notReady()]
      .filter(([source]) => source !== 'host')
      .map(asReason)
      .join('; ');
    const phase = reasons === '' ? 'run' : 'degraded';
    if (phase !== this.#phase) this.enter(phase, reasons === '' ? undefined : reasons);
  }
}

function asReason([source, detail]: readonly [string, string]): string {
  return `${source}: ${detail}`;
}
