import { createGatewayConnector } from '#api';
import { messageOf, Secret, silentLog, systemClock } from '#base';
import type { Cluster, GatewayEntry, SealToken, StakeRecord } from '#domain';
import {
  type Agent,
  errorFacts,
  type GatewayConnection,
  type GatewayConnector,
  type HostControl,
  type HostEvents,
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
import { HostEnd } from '../../src/host/host-end.ts';
import type { NodeContext } from '../../src/host/life-context.ts';
import { Questions } from '../../src/host/questions.ts';
import { Registrar } from '../../src/host/registrar.ts';

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
  /** The host would end: what it was told, or what no retry mends. */
  ended(nodeId: string, why: string): void;
  /** A join credential came, and k3s starts with it; resolves when the Node is there. */
  join(nodeId: string, token: Secret): Promise<void>;
}

/** The same key for the same name. */
export function simulatedKey(nodeId: string): NodeKey {
  return nodeKeyFromSeed(new Secret(Buffer.from(nodeId.padEnd(32, '.')).toString('hex')));
}

/** As in the program. */
const retry = { baseMs: 500, maxMs: 15_000 };

/**
 * A worker's host without an agent: the product's own registrar, patience, order of gateways, heartbeats and client; the chain
 * is what it was told, and k3s runs from its first join credential on.
 */
export class SimulatedHost {
  readonly nodeId: string;
  readonly #listener: HostListener;
  readonly #end = new HostEnd();
  readonly #heartbeats: Heartbeats;
  readonly #registrar: Registrar;
  #gatewayId = '';
  #isReady = false;

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
    const scope = <C>(config: C) => this.#scope(config);
    this.#heartbeats = new Heartbeats(scope({ unreachableAfterMs: 300_000 }), services);
    const registration = new GatewayRegistration(scope({}), services);
    this.#registrar = new Registrar(this.#context(facts.stake, registration));
  }

  /** Registers, joins, and sends heartbeats until it is stopped. */
  async run(): Promise<void> {
    const { signal } = this.#end;
    const beating = this.#heartbeats.run(signal).catch((error: unknown) => this.#report(error));
    try {
      await this.#use(await this.#registrar.register(undefined));
    } catch (error) {
      this.#report(error);
    }
    await beating;
  }

  stop(): void {
    this.#end.ask('the end of the simulation');
  }

  #report(error: unknown): void {
    if (!this.#end.wasAsked) this.#listener.ended(this.nodeId, messageOf(error));
  }

  async #use({ join }: Registration): Promise<boolean> {
    if (!join) return false;
    await this.#listener.join(this.nodeId, join.token);
    this.#isReady = true;
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
    const emit = <E extends keyof HostEvents>(event: E, fact: HostEvents[E]): void => this.#met(event, fact);
    return { config, log: silentLog, emit } as unknown as Scope<C>;
  }

  /** As the plugins of a host hear of each other. */
  #met<E extends keyof HostEvents>(event: E, fact: HostEvents[E]): void {
    if (event === 'registration.begun') this.#heartbeats.pause();
    if (event === 'registration.failed')
      this.#heartbeats.registrationFailed((fact as HostEvents['registration.failed']).error.code);
    if (event === 'worker.registered') {
      const registered = fact as HostEvents['worker.registered'];
      this.#gatewayId = registered.gatewayId;
      this.#heartbeats.follow(registered);
    }
    if (event === 'heartbeat.acknowledged') this.#listener.acknowledged(this.nodeId, this.#gatewayId);
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

  #agent(): Agent {
    return {
      state: () => ({ kind: this.#isReady ? 'ready' : 'starting', pid: 1 }),
      runningPods: async () => 3,
      resourceUsage: async () => ({ cpuPercent: 1, memoryPercent: 2, diskPercent: 3 }),
      k3sVersion: () => 'v1.36.2+k3s1',
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
          listener.asked(gateway.id, call, errorFacts(error).code ?? messageOf(error));
          throw error;
        }
      };
      return {
        ...connection,
        challenge: (request, signal) => ask('challenge', connection.challenge(request, signal)),
        register: (request, signal) => ask('register', connection.register(request, signal)),
        heartbeat: (request, signal) => ask('heartbeat', connection.heartbeat(request, signal)),
      } satisfies GatewayConnection;
    },
  };
}
