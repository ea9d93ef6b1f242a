import { aborted, type Clock, DaasError, Secret } from '#base';
import type { GatewayEntry } from '#domain';
import type {
  Challenge,
  Directive,
  EventsRequest,
  GatewayConnection,
  GatewayConnector,
  HeartbeatReply,
  HeartbeatRequest,
  RegisterRequest,
  Registration,
  ShowCertificatesRequest,
} from '#plugin';

export function fakeRegistration(changes: Partial<Registration> = {}): Registration {
  return {
    nodeId: 'worker-1',
    message: 'registered',
    incarnation: 1,
    join: {
      server: 'https://server.example.com:6443',
      token: new Secret(`K10${'0'.repeat(64)}::abcdef.0123456789abcdef`),
      expiresAtMs: Date.UTC(2026, 0, 1, 0, 8),
    },
    heartbeatIntervalMs: 10_000,
    nodeLabels: {},
    taints: ['k3s-daas.io/staked=standard:NoSchedule'],
    ...changes,
  };
}

/** All gateways of a test, behind one connector. `calls` lists every call with its gateway. */
export class FakeGateways implements GatewayConnector {
  readonly calls: string[] = [];
  readonly registrations: RegisterRequest[] = [];
  readonly heartbeats: HeartbeatRequest[] = [];
  readonly shown: ShowCertificatesRequest[] = [];
  /** What the next calls throw, by gateway URL or for all (`*`); taken away by `forgive`. */
  readonly failures = new Map<string, Error>();
  /** Set: a challenge says that the node would not be admitted. */
  inadmissible: string | undefined;
  /** Sent with the reply to the next heartbeat, then forgotten. */
  directives: Directive[] = [];
  /** Set: connections opened from then on have streams of changes. */
  tellsChanges = false;
  /** Those that are open: `onChange` of each tells its host. */
  readonly streams = new Set<EventsRequest>();
  registration: Registration = fakeRegistration();
  open = 0;
  #once: Error | undefined;
  readonly #clock: Pick<Clock, 'nowMs'>;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  fail(error: Error, url = '*'): void {
    this.failures.set(url, error);
  }

  /** The next call throws, those after it do not. */
  failOnce(error: Error): void {
    this.#once = error;
  }

  forgive(): void {
    this.failures.clear();
  }

  connect(gateway: GatewayEntry): GatewayConnection {
    this.open += 1;
    let isOpen = true;
    const call = (what: string) => {
      this.calls.push(`${what} ${gateway.url}`);
      if (!isOpen) throw new Error(`${what} on a connection that was closed`);
      const failure = this.#once ?? this.failures.get(gateway.url) ?? this.failures.get('*');
      this.#once = undefined;
      if (failure) throw failure;
    };
    return {
      gateway,
      challenge: async () => {
        call('challenge');
        return this.#challenge(gateway);
      },
      register: async (request) => {
        call('register');
        this.registrations.push(request);
        this.registration = { ...this.registration, incarnation: this.registrations.length };
        return this.registration;
      },
      heartbeat: async (request): Promise<HeartbeatReply> => {
        call('heartbeat');
        this.heartbeats.push(request);
        const directives = this.directives;
        this.directives = [];
        return { timestampMs: this.#clock.nowMs(), message: 'processed', directives };
      },
      showCertificates: async (request) => {
        call('certificates');
        this.shown.push(request);
        return { identities: request.certificates.map(() => 'kubelet'), isInForce: true };
      },
      leave: async () => {
        call('leave');
        return 'left';
      },
      ...(this.tellsChanges && {
        events: async (request: EventsRequest, signal: AbortSignal) => {
          call('events');
          this.streams.add(request);
          request.onOpen();
          await aborted(signal);
          this.streams.delete(request);
        },
      }),
      [Symbol.asyncDispose]: async () => {
        if (isOpen) this.open -= 1;
        isOpen = false;
      },
    };
  }

  #challenge(gateway: GatewayEntry): Challenge {
    const timestampMs = this.#clock.nowMs();
    return {
      nonce: 'nonce',
      gatewayId: gateway.id,
      timestampMs,
      expiresAtMs: timestampMs + 60_000,
      admissible: this.inadmissible === undefined,
      reason: this.inadmissible,
    };
  }
}

/** A gateway that cannot be reached. */
export function unreachable(): DaasError {
  return new DaasError('DAAS_GATEWAY_UNREACHABLE', 'the gateway does not answer', { isRetryable: true });
}
