import { DaasError } from '#base';
import type { NewStateObject, StateLease, StateObject, StateObjectNews, StateObjects } from '#domain';

/** What becomes of a write: it arrives; it does not; it arrives, and its answer is lost; it arrives when it is let go. */
export type Fate = 'arrives' | 'is lost' | 'loses its answer' | 'is held';

const lost = () =>
  new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'the API server does not answer', { isRetryable: true });

/** The objects of a state in memory, for as many gateways as a test opens. */
export class MemoryObjects {
  readonly objects = new Map<string, StateObject>();
  lease: StateLease = {
    version: '0',
    holder: undefined,
    durationSeconds: undefined,
    acquiredAtMs: undefined,
    renewedAtMs: undefined,
    transitions: 0,
  };
  /** Of the next write of an object by this gateway. */
  fate: (gateway: string, object: NewStateObject) => Fate = () => 'arrives';
  readonly #held: Array<() => void> = [];
  readonly #listeners = new Set<(object: StateObject) => void>();
  #version = 0;

  /** As the API server has it for one gateway. */
  of(gateway: string): StateObjects {
    return {
      list: async () => [...this.objects.values()],
      read: async (name) => this.objects.get(name),
      write: (object) => this.#send(gateway, object),
      follow: (name, listener, signal) => this.#follow(name, listener, signal),
      readLease: async () => this.lease,
      writeLease: async (lease) => this.#writeLease(lease),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  /** What was held arrives now. */
  letGo(): void {
    for (const arrive of this.#held.splice(0)) arrive();
  }

  async #send(gateway: string, object: NewStateObject): Promise<StateObject | undefined> {
    // Others go on between any two requests.
    await new Promise((resolve) => setImmediate(resolve));
    const fate = this.fate(gateway, object);
    if (fate === 'is held') this.#held.push(() => void this.#write(object));
    const written = fate === 'arrives' || fate === 'loses its answer' ? this.#write(object) : undefined;
    if (fate !== 'arrives') throw lost();
    return written;
  }

  #write({ name, text, version }: NewStateObject): StateObject | undefined {
    if (this.objects.get(name)?.version !== version) return undefined;
    this.#version += 1;
    const written = { name, text, version: String(this.#version) };
    this.objects.set(name, written);
    for (const tell of this.#listeners) tell(written);
    return written;
  }

  #writeLease(lease: StateLease): StateLease | undefined {
    if (lease.version !== this.lease.version) return undefined;
    this.#version += 1;
    this.lease = { ...lease, version: String(this.#version) };
    return this.lease;
  }

  async #follow(name: string, listener: (news: StateObjectNews) => void, signal: AbortSignal): Promise<void> {
    const tell = (object: StateObject) => {
      if (object.name === name) listener({ kind: 'written', object });
    };
    listener({ kind: 'listed', objects: [...this.objects.values()] });
    this.#listeners.add(tell);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#listeners.delete(tell);
  }
}
