import os from 'node:os';
import {
  type Agent,
  type Clock,
  DaasError,
  EXIT,
  errorFacts,
  errorFields,
  type GatewayConnector,
  type GatewayEntry,
  type GatewayTier,
  type Health,
  type HostControl,
  type JoinCredentialSource,
  messageOf,
  type NodeIdentity,
  type Registration,
  type Scope,
  type SealedStake,
  type StakeChain,
} from 'k3s-daas/plugin';
import { GatewayHealth } from './gateway-health.ts';
import { gatewayOrder } from './gateways.ts';
import {
  asRetryable,
  clonedRefusal,
  gathered,
  inadmissibleError,
  patienceWithUnnamedRefusals,
  unnamedRefusal,
} from './refusals.ts';

export interface RegistrationServices {
  readonly chain: StakeChain;
  readonly identity: NodeIdentity;
  readonly gateways: GatewayConnector;
  readonly control: HostControl;
  readonly agent: Agent;
  readonly clock: Clock;
}

interface Registered {
  readonly gateway: GatewayEntry;
  readonly registration: Registration;
}

/** Registers this node at the first gateway of the chain that takes it. */
export class GatewayRegistration implements JoinCredentialSource {
  readonly #scope: Scope<{ readonly gatewayUrl?: string | undefined }>;
  readonly #services: RegistrationServices;
  readonly #health: GatewayHealth;
  #known = 0;
  #unnamedRefusals = 0;

  constructor(scope: Scope<{ readonly gatewayUrl?: string | undefined }>, services: RegistrationServices) {
    this.#scope = scope;
    this.#services = services;
    this.#health = new GatewayHealth(services.identity.nodeId);
  }

  /** A gateway that is away does not make the node unwell: another one is asked. */
  health(): Health {
    return { live: true, ready: true, detail: this.#health.describe(this.#known) };
  }

  async preflight(signal: AbortSignal): Promise<void> {
    const { chain, identity, gateways } = this.#services;
    const { nodeId } = identity;
    // There is no token yet to name a tier; 'standard' is the lowest that may run a node.
    await this.#firstOf('standard', signal, async (gateway) => {
      await using connection = gateways.connect(gateway);
      const { admissible, reason } = await connection.challenge({ nodeId, staker: chain.wallet }, signal);
      if (!admissible) throw inadmissibleError(reason, nodeId, gateway.url);
    });
  }

  async register(stake: SealedStake, signal: AbortSignal): Promise<Registration> {
    const { nodeId } = this.#services.identity;
    this.#scope.emit('registration.begun', { nodeId });
    try {
      const registered = await this.#registerAtOne(stake, signal);
      this.#unnamedRefusals = 0;
      this.#announce(stake, registered);
      return registered.registration;
    } catch (cause) {
      const error = this.#countUnnamed(cause);
      this.#scope.emit('registration.failed', { nodeId, ...errorFields(error) });
      throw error;
    }
  }

  async #registerAtOne(stake: SealedStake, signal: AbortSignal): Promise<Registered> {
    const { chain, identity, gateways, agent } = this.#services;
    const { nodeId } = identity;
    const token = (await chain.tokens([stake.tokenId], signal)).get(stake.tokenId);
    const nodePasswordHash = await identity.nodePasswordHash();
    return this.#firstOf(token?.gatewayTier ?? 'basic', signal, async (gateway) => {
      await using connection = gateways.connect(gateway);
      const challenge = await connection.challenge({ nodeId, staker: chain.wallet }, signal);
      const request = {
        challenge,
        sealTokenId: stake.tokenId,
        nodePasswordHash,
        host: describeHost(agent.k3sVersion()),
      };
      return { gateway, registration: await connection.register(request, signal) };
    });
  }

  #announce(stake: SealedStake, { gateway, registration }: Registered): void {
    this.#scope.emit('worker.registered', {
      nodeId: this.#services.identity.nodeId,
      recordId: stake.recordId,
      sealTokenId: stake.tokenId,
      gatewayId: gateway.id,
      gatewayUrl: gateway.url,
      gatewayTier: gateway.tier,
      incarnation: registration.incarnation,
      requestId: registration.requestId,
      heartbeatIntervalMs: registration.heartbeatIntervalMs,
      hasJoinCredential: registration.join !== undefined,
      gatewayEvidence: registration.gatewayEvidence,
      machineEvidence: registration.machineEvidence,
    });
  }

  /** Asks one gateway after the other until one answers: the next may take what one refuses. */
  async #firstOf<T>(
    tier: GatewayTier,
    signal: AbortSignal,
    ask: (gateway: GatewayEntry) => Promise<T>,
  ): Promise<T> {
    const { chain, identity, clock } = this.#services;
    const { config, log } = this.#scope;
    const { gateways } = await chain.cluster(signal);
    const candidates = gatewayOrder(gateways, {
      tier,
      nodeId: identity.nodeId,
      preferredUrl: config.gatewayUrl,
    });
    if (candidates.length === 0) throw noGateway(gateways.length, tier);
    const failures: unknown[] = [];
    this.#known = candidates.length;
    for (const gateway of this.#health.sorted(candidates, clock.monotonicMs())) {
      try {
        const answer = await ask(gateway);
        this.#health.succeeded(gateway);
        return answer;
      } catch (error) {
        signal.throwIfAborted();
        this.#health.failed(gateway, error, clock.monotonicMs());
        log.debug('A gateway did not take this node', {
          gatewayUrl: gateway.url,
          ...errorFields(error),
        });
        failures.push(error);
      }
    }
    throw gathered(failures);
  }

  /** A refusal without a reason can mean a token that the gateway has not seen yet: for a while it may pass. */
  #countUnnamed(error: unknown): unknown {
    // The host that the cluster hears, or whose agent comes back, asks again until it is served.
    if (errorFacts(error).code === clonedRefusal)
      return this.#services.control.cloned(messageOf(error)) ? error : asRetryable(error);
    if (errorFacts(error).code !== unnamedRefusal) return error;
    this.#unnamedRefusals += 1;
    return this.#unnamedRefusals < patienceWithUnnamedRefusals ? asRetryable(error) : error;
  }
}

function noGateway(known: number, tier: GatewayTier): DaasError {
  return new DaasError(
    'DAAS_NO_GATEWAY',
    known === 0
      ? 'the cluster names no gateway on chain yet: its operator has to add one (`k3s-daas cluster gateway add`)'
      : `none of the cluster's ${known} gateways is live and open to the tier '${tier}'`,
    { isRetryable: true, exitCode: EXIT.joinDeadline, details: { known, tier } },
  );
}

/** What the operator sees of the machine. The gateway trusts none of it. */
function describeHost(k3sVersion: string | undefined): Readonly<Record<string, string | number>> {
  return {
    hostname: os.hostname(),
    platform: os.platform(),
    architecture: os.arch(),
    kernel: os.release(),
    ...(k3sVersion !== undefined && { k3s_version: k3sVersion }),
    cpus: os.availableParallelism(),
    memory_mib: Math.round(os.totalmem() / 2 ** 20),
  };
}
