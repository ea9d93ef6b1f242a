import type {
  AgentStart,
  AgentState,
  AgentSupervisor,
  HostControl,
  NodeEnding,
  NodeIdentity,
  ResourceUsage,
} from '#plugin';

/** An agent without a process: it is Ready as soon as it is started, unless a test says otherwise. */
export class FakeAgent implements AgentSupervisor {
  readonly starts: AgentStart[] = [];
  readonly calls: string[] = [];
  preflightError: Error | undefined;
  startError: Error | undefined;
  /** false: `start` waits until its signal aborts. */
  becomesReady = true;
  /** What a `stop` that is not `atOnce` waits for. */
  stopping: Promise<void> = Promise.resolve();
  /** What `needsCredential` answers. */
  isInNeed = false;
  /** What `clientCertificates` answers. */
  certificates: readonly string[] = [];
  /** What `certificatesShown` was called with. */
  readonly shown: Array<readonly string[]> = [];
  pods: number | undefined = 3;
  current: AgentState = { kind: 'idle' };
  readonly #failed = Promise.withResolvers<Error>();

  state(): AgentState {
    return this.current;
  }
  async runningPods(): Promise<number | undefined> {
    return this.pods;
  }
  async resourceUsage(): Promise<ResourceUsage> {
    return { cpuPercent: 12, memoryPercent: 34, diskPercent: 56 };
  }
  k3sVersion(): string | undefined {
    return 'v1.36.2+k3s1';
  }
  async preflight(): Promise<void> {
    this.calls.push('preflight');
    if (this.preflightError) throw this.preflightError;
  }
  async nodePasswordFile(): Promise<string> {
    return '/etc/rancher/node/password';
  }
  async start(request: AgentStart, signal: AbortSignal): Promise<void> {
    this.calls.push('start');
    this.starts.push(request);
    if (this.startError) throw this.startError;
    this.current = { kind: 'starting', pid: 4242 };
    if (!this.becomesReady)
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    this.current = { kind: 'ready', pid: 4242 };
  }
  failed(): Promise<Error> {
    return this.#failed.promise;
  }
  async clientCertificates(): Promise<readonly string[]> {
    return this.certificates;
  }
  async certificatesShown(certificates: readonly string[]): Promise<void> {
    this.shown.push(certificates);
  }
  async proveKubelet(): Promise<undefined> {
    return undefined;
  }
  async needsCredential(): Promise<boolean> {
    return this.isInNeed;
  }
  /** Ends the supervision, as a used-up crash budget does. */
  giveUp(error: Error): void {
    this.#failed.resolve(error);
  }
  async stop({ atOnce = false }: { readonly atOnce?: boolean } = {}): Promise<void> {
    this.calls.push(atOnce ? 'stop at once' : 'stop');
    if (!atOnce) await this.stopping;
    this.current = { kind: 'stopped', detail: 'asked to' };
  }
  async stopForGood(): Promise<void> {
    this.calls.push('stopForGood');
    this.current = { kind: 'stopped', detail: 'for good' };
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.calls.push('dispose');
  }
}

/** Remembers what plugins asked of the host. */
export class FakeHostControl implements HostControl {
  readonly stops: NodeEnding[] = [];
  readonly reregistrations: string[] = [];
  readonly clones: string[] = [];
  /** What `cloned` answers. */
  endsForClone = false;

  stop(ending: NodeEnding): void {
    this.stops.push(ending);
  }
  reregister(reason: string): void {
    this.reregistrations.push(reason);
  }
  cloned(detail: string): boolean {
    this.clones.push(detail);
    return this.endsForClone;
  }
}

/** A node whose keys are 32 equal bytes: `fill`, then `fill + 1` after a rotation. */
export function fakeIdentity(nodeId = 'worker-1', fill = 9): NodeIdentity & { fill: number } {
  const key = (byte: number) => new Uint8Array(32).fill(byte);
  let adopted: string | undefined;
  return {
    nodeId,
    fill,
    get holderKey() {
      return key(this.fill);
    },
    get rotation() {
      return {
        prepare: async () => key(this.fill + 1),
        adopt: async (sealTokenId: string, holderKey: Uint8Array) => {
          if (holderKey[0] === this.fill + 1) adopted = sealTokenId;
          return adopted === sealTokenId || holderKey[0] === this.fill;
        },
        complete: async (sealTokenId: string) => {
          if (adopted !== sealTokenId) return false;
          this.fill += 1;
          adopted = undefined;
          return true;
        },
      };
    },
    nodePasswordHash: async () => '$1:0011223344556677:15:8:1:AAAA',
  };
}
