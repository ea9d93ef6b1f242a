import { setTimeout as sleep } from 'node:timers/promises';
import { type HostFacts, type HostListener, SimulatedHost } from './simulated-host.ts';

/** How many hosts did what, as their process counts it. */
export interface HostsReport {
  /** With an acknowledged heartbeat since the last `reset`. */
  readonly acknowledged: number;
  /** By gateway: whose last acknowledged heartbeat was there. */
  readonly servedBy: Readonly<Record<string, number>>;
  /** From the last heartbeat that one gateway acknowledged to the first that another did, seconds. */
  readonly silenceSeconds: readonly number[];
  /** `GATEWAY CALL OUTCOME`. */
  readonly calls: Readonly<Record<string, number>>;
  readonly joins: number;
  /** Event streams that are open. */
  readonly streams: number;
  /** What should have ended a host. */
  readonly ended: readonly string[];
}

/** Many simulated hosts, and what they meet. */
export class SimulatedHosts implements Disposable {
  readonly #hosts: readonly SimulatedHost[];
  readonly #last = new Map<string, { readonly gatewayId: string; readonly atMs: number }>();
  readonly #acknowledged = new Set<string>();
  readonly #silences: number[] = [];
  readonly #calls = new Map<string, number>();
  #joins = 0;
  readonly #ended: string[] = [];

  constructor(facts: readonly HostFacts[], join: HostListener['join']) {
    const listener: HostListener = {
      asked: (...names) => {
        const name = names.join(' ');
        this.#calls.set(name, (this.#calls.get(name) ?? 0) + 1);
      },
      acknowledged: (nodeId, gatewayId) => this.#note(nodeId, gatewayId),
      ended: (nodeId, why) => void this.#ended.push(`${nodeId}: ${why}`),
      join: (nodeId, token) => {
        this.#joins += 1;
        return join(nodeId, token);
      },
    };
    this.#hosts = facts.map((one) => new SimulatedHost(one, listener));
  }

  #note(nodeId: string, gatewayId: string): void {
    const atMs = performance.now();
    const last = this.#last.get(nodeId);
    if (last && last.gatewayId !== gatewayId) this.#silences.push((atMs - last.atMs) / 1_000);
    this.#last.set(nodeId, { gatewayId, atMs });
    this.#acknowledged.add(nodeId);
  }

  /** One after the other, so that their heartbeats are spread. */
  async start(everyMs: number): Promise<void> {
    for (const host of this.#hosts) {
      void host.run();
      await sleep(everyMs);
    }
  }

  /** What was counted until now belongs to the time before. */
  reset(): void {
    this.#acknowledged.clear();
    this.#silences.length = 0;
    this.#calls.clear();
    this.#joins = 0;
    this.#ended.length = 0;
  }

  report(): HostsReport {
    const servedBy: Record<string, number> = {};
    for (const { gatewayId } of this.#last.values()) servedBy[gatewayId] = (servedBy[gatewayId] ?? 0) + 1;
    return {
      acknowledged: this.#acknowledged.size,
      servedBy,
      silenceSeconds: [...this.#silences],
      calls: Object.fromEntries(this.#calls),
      joins: this.#joins,
      streams: this.#hosts.filter(({ hearsChanges }) => hearsChanges).length,
      ended: [...this.#ended],
    };
  }

  [Symbol.dispose](): void {
    for (const host of this.#hosts) host.stop();
  }
}
