import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { NodeIdentity, Registration } from 'k3s-daas/plugin';
import {
  FakeAgent,
  FakeClock,
  FakeGateways,
  FakeStakeChain,
  fakeGatewayEntry,
  fakeIdentity,
  RecordingLog,
  unreachable,
} from 'k3s-daas/plugin/testing';
import { DaasError, gatewayErrorCode, type Lifetime } from '#base';
import { createHost, type Host, HostAgent, HostLog, HostRandom, hostParts } from '#host';
import {
  type GatewayConnection,
  GatewayConnector,
  HostClock,
  NodeIdentity as NodeIdentityToken,
  StakeChain,
} from '#plugin';
import { builtIns } from '#plugins';

/** A whole host with its built-in plugins in virtual time, between a chain and gateways that keep the protocol's rules. */

const refused = (code: string) => new DaasError(gatewayErrorCode(code), `refused: ${code}`);

/** What gateways that share their state know of the node. */
interface Known {
  readonly sealTokenId: string;
  readonly tokenSequence: bigint;
  readonly incarnation: number;
  lastSequence: number;
}

/**
 * Gateways of one cluster. A challenge counts once; a registration needs a live token that is not older than the last one, and a
 * stake of the minimum; a heartbeat needs the newest registration and the next number. They ask for a top-up before a stake is short.
 */
class RulesKeepingGateways extends FakeGateways {
  readonly dead = new Set<string>();
  readonly #chain: FakeStakeChain;
  readonly #nonces = new Set<string>();
  #count = 0;
  known: Known | undefined;
  acknowledged = 0;

  constructor(clock: FakeClock, chain: FakeStakeChain) {
    super(clock);
    this.#chain = chain;
  }

  override connect(gateway: Parameters<FakeGateways['connect']>[0]): GatewayConnection {
    const connection = super.connect(gateway);
    const expectAlive = () => {
      if (this.dead.has(gateway.url)) throw unreachable();
    };
    return {
      ...connection,
      challenge: async (...request) => {
        expectAlive();
        this.#count += 1;
        const nonce = `nonce-${this.#count}`;
        this.#nonces.add(nonce);
        return { ...(await connection.challenge(...request)), nonce };
      },
      register: async (request, signal) => {
        expectAlive();
        if (!this.#nonces.delete(request.challenge.nonce)) throw refused('seal_token_invalid');
        const { tokenSequence } = this.#live(request.sealTokenId);
        if (this.known && tokenSequence < this.known.tokenSequence) throw refused('token_superseded');
        const registration = await connection.register(request, signal);
        const { incarnation } = registration;
        const { sealTokenId } = request;
        const isThere = this.known !== undefined;
        this.known = { sealTokenId, tokenSequence, incarnation, lastSequence: 0 };
        // The API server hears the kubelet: it gets no other credential.
        const { join, ...again } = registration;
        return (isThere ? again : { ...again, join }) as Registration;
      },
      heartbeat: async (request, signal) => {
        expectAlive();
        const { known } = this;
        if (!known || request.incarnation !== known.incarnation) throw refused('registration_superseded');
        if (request.sealTokenId !== known.sealTokenId) throw refused('seal_token_invalid');
        if (request.sequence <= known.lastSequence) throw refused('seal_token_invalid');
        const { stakeMist } = this.#live(request.sealTokenId);
        known.lastSequence = request.sequence;
        this.acknowledged += 1;
        if (stakeMist < this.#chain.parameters.minimumWorkerStakeMist)
          this.directives = [{ kind: 'top_up', reason: 'stake_too_low' }];
        return connection.heartbeat(request, signal);
      },
    };
  }

  #live(tokenId: string): { readonly tokenSequence: bigint; readonly stakeMist: bigint } {
    const token = this.#chain.sealTokens.get(tokenId);
    if (!token) throw refused('token_revoked');
    if (token.expiresAtEpoch <= this.#chain.epoch) throw refused('token_expired');
    const { tokenSequence, stakeMist, status } = this.#chain.expectRecord(token.stakeId);
    if (status !== 'active') throw refused('stake_not_active');
    return { tokenSequence, stakeMist };
  }
}

export interface VirtualHostOptions {
  /** Settings of the plugins, by name. */
  readonly config?: Readonly<Record<string, Record<string, unknown>>>;
}

export interface VirtualHost {
  readonly clock: FakeClock;
  readonly chain: FakeStakeChain;
  readonly gateways: RulesKeepingGateways;
  readonly agent: FakeAgent;
  readonly identity: ReturnType<typeof fakeIdentity>;
  readonly log: RecordingLog;
  /** The process that runs now. */
  host(): Host;
  /** Another process on the same state directory, after the one before has ended. Resolves when it has registered. */
  start(): Promise<void>;
  /** Ends the process in order. */
  stop(): Promise<void>;
  /** Lets time pass in steps. The next begins when nothing is under way in the one before: files are written in real time. */
  pass(byMs: number, stepMs: number): Promise<void>;
}

/** Resolves when no file is being read or written, in several turns in a row. */
async function quiet(): Promise<void> {
  for (let calmTurns = 0; calmTurns < 5; ) {
    await setImmediate();
    const isBusy = process.getActiveResourcesInfo().some((kind) => kind.startsWith('FSReq'));
    calmTurns = isBusy ? 0 : calmTurns + 1;
  }
}

const names = ['staking', 'registration', 'heartbeat', 'slashing'] as const;

/** Nothing runs before `start`. */
export async function virtualHost(
  life: Lifetime,
  { config = {} }: VirtualHostOptions = {},
): Promise<VirtualHost> {
  const stateDir = await mkdtemp(join(tmpdir(), 'k3s-daas-virtual-'));
  life.defer('directory', () => rm(stateDir, { recursive: true, force: true }));
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  chain.gateways = [fakeGatewayEntry('one'), fakeGatewayEntry('two')];
  const world = {
    clock,
    chain,
    gateways: new RulesKeepingGateways(clock, chain),
    agent: new FakeAgent(),
    identity: fakeIdentity('worker-1'),
    log: new RecordingLog(),
  };
  world.agent.certificates = ['kubelet', 'kube-proxy', 'k3s-controller'];
  let host: Host | undefined;
  let ended: Promise<unknown> = Promise.resolve();
  const stop = async () => {
    host?.stop('test');
    // What an orderly end waits for passes at once.
    const done = ended.then(() => true);
    while (!(await Promise.race([done, clock.advance(1_000).then(() => false)])));
    host = undefined;
  };
  life.defer('host', stop);
  return {
    ...world,
    host: () => host as Host,
    stop,
    async pass(byMs, stepMs) {
      for (let passedMs = 0; passedMs < byMs; passedMs += stepMs) {
        await quiet();
        await clock.advance(stepMs, stepMs);
      }
      await quiet();
    },
    async start() {
      world.agent.current = { kind: 'idle' };
      host = createHost({
        nodeId: 'worker-1',
        stateDir,
        plugins: names.map((use) => ({ use, config: config[use] ?? {} })),
        builtIns,
        pluginDirectory: stateDir,
        joinDeadlineMs: 300_000,
        parts: hostParts()
          .register(HostLog, () => world.log)
          .register(HostClock, () => clock)
          .register(HostRandom, () => () => 1)
          .register(HostAgent, () => world.agent)
          .register(StakeChain, () => chain)
          .register(NodeIdentityToken, (): NodeIdentity => world.identity)
          .register(GatewayConnector, () => world.gateways),
        offers: [StakeChain, NodeIdentityToken, GatewayConnector],
        signals: undefined,
      });
      let isRegistered = false;
      host.events.on('worker.registered', () => {
        isRegistered = true;
      });
      ended = host.run();
      // Plugins are loaded from files, which takes real time.
      while (!isRegistered) {
        await clock.advance(10);
        await setTimeout(1);
      }
    },
  };
}
