import { createGatewayConnector } from '#api';
import { messageOf, Secret, silentLog, systemClock } from '#base';
import type { Cluster, GatewayEntry, SealToken, StakeRecord } from '#domain';
import {
  type Agent,
  errorFacts,
  type GatewayConnection,
  type GatewayConnector,
  type HostControl,
  type NodeIdentity,
  type Registration,
  type Scope,
  type SealedStake,
  SealTokenSource,
  type StakeChain,
} from '#plugin';
import { createProofSigner, type NodeKey, nodeKeyFromSeed } from '#seal';
import { Heartbeats } from '../../plugins/heartbeat/heartbeats.ts';
import { GatewayRegistration } from '../../plugins/registration/gateway-registration.ts';
import { ChangeListener } from '../../plugins/slashing/change-listener.ts';
import { createEventBus } from '../../src/host/events.ts';
import { HostEnd } from '../../src/host/host-end.ts';
import type { NodeContext } from '../../src/host/life-context.ts';
import { Questions } from '../../src/host/questions.ts';
import { Registrar } from '../../src/host/registrar.ts';
import { type ShowingParts, showCertificates } from '../../src/host/show-certificates.ts';

/** What a simulated host knows of the world. */
export interface HostFacts {
  readonly nodeId: string;
  readonly wallet: string;
  readonly stake: SealedStake;
  /** As the chain names them. */
  readonly gateways: readonly GatewayEntry[];
  /** Of the one password that all of them have: scrypt is slow on purpose. */
  readonly nodePasswordHash: string;
}

/** Hears what a host does. */
export interface HostListener {
  /** One call of a gateway's API: `ok`, or the code of what it ended with. */
  asked(gatewayId: string, call: string, outcome: string): void;
  acknowledged(nodeId: string, gatewayId: string): void;
  /** A real host would end here: the gateway told it to, or an error came that another attempt does not help. */
  ended(nodeId: string, why: string): void;
  /** A join credential came, and k3s starts with it; resolves with its certificates when the Node is there. */
  join(nodeId: string, token: Secret): Promise<readonly string[]>;
}

/** The same key for the same name. */
export function simulatedKey(nodeId: string): NodeKey {
  return nodeKeyFromSeed(new Secret(Buffer.from(nodeId.padEnd(32, '.')).toString('hex')));
}

/** As the host has them. */
const retry = { baseMs: 500, maxMs: 15_000 };
const unreachableAfterMs = 300_000;

/**
 * A worker's host without an agent: the product's own registrar, patience, order of gateways, heartbeats, event stream, showing of
 * certificates and client. It reads no chain, and its k3s counts as running once it has a first join credential.
 */
export class SimulatedHost {
  readonly nodeId: string;
  readonly #listener: HostListener;
  readonly #end = new HostEnd();
  readonly #events = createEventBus(silentLog);
  readonly #heartbeats: Heartbeats;
  readonly #changes: ChangeListener;
  readonly #registrar: Registrar;
  readonly #showing: Omit<ShowingParts, 'signal'>;
  #gatewayId = '';
  #certificates: readonly string[] = [];

  constructor(facts: HostFacts, listener: HostListener) {
    const { nodeId } = facts;
    this.nodeId = nodeId;
    this.#listener = listener;
    const signer = createProofSigner(nodeId, simulatedKey(nodeId));
    const connector = createGatewayConnector({ signer, clock: systemClock });
    const services = {
      chain: chainOf(facts),
      identity: { nodeId, nodePasswordHash: async () => facts.nodePasswordHash } as NodeIdentity,
      gateways: counted(connector, listener),
      control: this.#control(),
      agent: this.#agent(),
      clock: systemClock,
    };
    this.#heartbeats = new Heartbeats(this.#scope({ unreachableAfterMs }), services);
    this.#changes = new ChangeListener(this.#scope({}), services, () => undefined);
    this.#registrar = new Registrar(
      this.#context(facts.stake, new GatewayRegistration(this.#scope({}), services)),
    );
    this.#showing = { ...services, events: this.#events, log: silentLog };
    this.#connectParts();
  }

  /** As the plugins of a host hear of each other. */
  #connectParts(): void {
    const events = this.#events;
    events.on('registration.begun', () => this.#heartbeats.pause());
    events.on('registration.failed', ({ error }) => this.#heartbeats.registrationFailed(error.code));
    events.on('worker.registered', (registered) => {
      this.#gatewayId = registered.gatewayId;
      this.#heartbeats.follow(registered);
      this.#changes.follow(registered);
    });
    events.on('heartbeat.acknowledged', () => this.#listener.acknowledged(this.nodeId, this.#gatewayId));
  }

  /** Whether its gateway would tell it of a change now. */
  get hearsChanges(): boolean {
    return this.#changes.isOpen();
  }

  /** Registers, joins, and sends heartbeats until it is stopped. */
  async run(): Promise<void> {
    const { signal } = this.#end;
    const loops = [
      this.#heartbeats.run(signal),
      this.#changes.run(signal),
      showCertificates({ ...this.#showing, signal }),
      this.#registrar.register(undefined).then((registration) => this.#use(registration)),
    ];
    await Promise.all(loops.map((loop) => loop.catch((error: unknown) => this.#report(error))));
  }

  stop(): void {
    this.#end.ask('the end of the simulation');
  }

  #report(error: unknown): void {
    if (!this.#end.wasAsked) this.#listener.ended(this.nodeId, messageOf(error));
  }

  async #use({ join }: Registration): Promise<boolean> {
    if (!join) return false;
    this.#certificates = await this.#listener.join(this.nodeId, join.token);
    this.#events.emit('agent.started', { pid: 1 });
    return true;
  }

  /** What the registrar works with; the members that it does not reach are not there. */
  #context(stake: SealedStake, registration: GatewayRegistration): NodeContext {
    const tokens = { find: async () => stake, obtain: async () => stake };
    const end = this.#end;
    const common = { clock: systemClock, log: silentLog, end };
    const settings = { retry, joinDeadlineMs: 600_000 };
    return {
      ...common,
      questions: new Questions({ ...common, settings, random: Math.random }),
      catalog: {
        one: (point: unknown) => (point === SealTokenSource ? tokens : registration),
        providersOf: () => [],
      },
      phases: { enterJoining: () => undefined, degrade: () => undefined },
      starts: { hasSpare: false, useOrKeep: (renewed: Registration) => this.#use(renewed) },
      agent: this.#agent(),
    } as unknown as NodeContext;
  }

  #scope<C>(config: C): Scope<C> {
    const emit: Scope<C>['emit'] = (event, fact) => this.#events.emit(event, fact);
    return { config, log: silentLog, emit } as unknown as Scope<C>;
  }

  #control(): HostControl {
    return {
      stop: ({ status }) => this.#listener.ended(this.nodeId, status),
      reregister: (reason) => this.#registrar.reregister(reason),
      cloned: (detail) => {
        this.#listener.ended(this.nodeId, detail);
        return false;
      },
    };
  }

  #agent(): Agent & ShowingParts['agent'] {
    return {
      state: () => ({ kind: this.#certificates.length > 0 ? 'ready' : 'starting', pid: 1 }),
      runningPods: async () => 3,
      resourceUsage: async () => ({ cpuPercent: 1, memoryPercent: 2, diskPercent: 3 }),
      k3sVersion: () => 'v1.36.2+k3s1',
      clientCertificates: async () => this.#certificates,
      certificatesShown: async () => undefined,
    };
  }
}

/** The chain as this host reads it: it does not change. */
function chainOf({ wallet, stake, gateways }: HostFacts): StakeChain {
  const cluster = { gateways } as unknown as Cluster;
  const record = { id: stake.recordId, status: 'active', stakeMist: stake.stakeMist } as StakeRecord;
  const token = { id: stake.tokenId, gatewayTier: 'basic' } as SealToken;
  return {
    wallet,
    cluster: async () => cluster,
    records: async () => new Map([[record.id, record]]),
    tokens: async () => new Map([[token.id, token]]),
  } as unknown as StakeChain;
}

/** With the kernel's own word for a connection that failed. */
function codeOf(error: unknown): string {
  const code = errorFacts(error).code ?? messageOf(error);
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error)) return code;
  return `${code} (${(cause as { code?: string }).code ?? cause.message})`;
}

function counted(connector: GatewayConnector, listener: HostListener): GatewayConnector {
  return {
    connect(gateway) {
      const connection = connector.connect(gateway);
      const ask = async <T>(call: string, answer: Promise<T>): Promise<T> => {
        try {
          const reply = await answer;
          listener.asked(gateway.id, call, 'ok');
          return reply;
        } catch (error) {
          listener.asked(gateway.id, call, codeOf(error));
          throw error;
        }
      };
      return {
        ...connection,
        challenge: (request, signal) => ask('challenge', connection.challenge(request, signal)),
        register: (request, signal) => ask('register', connection.register(request, signal)),
        heartbeat: (request, signal) => ask('heartbeat', connection.heartbeat(request, signal)),
        showCertificates: (request, signal) =>
          ask('certificates', connection.showCertificates(request, signal)),
        events: async (request, signal) => {
          const onOpen = () => {
            listener.asked(gateway.id, 'events', 'ok');
            request.onOpen();
          };
          try {
            await connection.events?.({ ...request, onOpen }, signal);
          } catch (error) {
            if (!signal.aborted) listener.asked(gateway.id, 'events', codeOf(error));
            throw error;
          }
        },
      } satisfies GatewayConnection;
    },
  };
}
