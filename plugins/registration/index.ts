import os from 'node:os';
import {
  DaasError,
  definePlugin,
  EXIT,
  errorFacts,
  errorFields,
  GatewayConnector,
  type GatewayEntry,
  type GatewayTier,
  JoinCredentialSource,
  NodeIdentity,
  type Registration,
  type SealedStake,
  StakeChain,
} from 'k3s-daas/plugin';
import { z } from 'zod';
import { gatewayOrder } from './gateways.ts';
import {
  asRetryable,
  gathered,
  inadmissibleError,
  patienceWithUnnamedRefusals,
  unnamedRefusal,
} from './refusals.ts';

/**
 * Turns a Seal token into what the agent is started with, at one of the gateways that the chain names. Each call is one
 * round over them; the host asks again, after growing delays, for as long as the failure is one that may pass.
 */
export default definePlugin({
  name: 'registration',
  api: 1,
  config: z.strictObject({
    /** Asked first; must be one of the chain's gateways. */
    gatewayUrl: z
      .string()
      .regex(
        /^https:\/\/[^/?#@\\\s]+$/i,
        'expected https://host:port, without a user, a path or a slash at the end',
      )
      .optional(),
  }),
  needs: { chain: StakeChain, identity: NodeIdentity, gateways: GatewayConnector },
  setup(scope, { chain, identity, gateways }) {
    const { config, log } = scope;
    const { nodeId } = identity;
    let unnamedRefusals = 0;

    /** Asks one gateway after the other until one answers; a refusal of one need not be that of the next. */
    async function firstOf<T>(
      tier: GatewayTier,
      signal: AbortSignal,
      ask: (gateway: GatewayEntry) => Promise<T>,
    ): Promise<T> {
      const { gateways: entries } = await chain.cluster(signal);
      const candidates = gatewayOrder(entries, { tier, nodeId, preferredUrl: config.gatewayUrl });
      if (candidates.length === 0) throw noGateway(entries.length, tier);
      const failures: unknown[] = [];
      for (const gateway of candidates) {
        try {
          return await ask(gateway);
        } catch (error) {
          signal.throwIfAborted();
          log.debug('A gateway did not take this node', { gatewayUrl: gateway.url, ...errorFields(error) });
          failures.push(error);
        }
      }
      throw gathered(failures);
    }

    async function preflight(signal: AbortSignal): Promise<void> {
      // There is no token yet to name a tier; 'standard' is the lowest that may run a node.
      await firstOf('standard', signal, async (gateway) => {
        await using connection = gateways.connect(gateway);
        const { admissible, reason } = await connection.challenge({ nodeId, staker: chain.wallet }, signal);
        if (!admissible) throw inadmissibleError(reason, nodeId, gateway.url);
      });
    }

    async function register(stake: SealedStake, signal: AbortSignal): Promise<Registration> {
      const token = (await chain.tokens([stake.tokenId], signal)).get(stake.tokenId);
      const nodePasswordHash = await identity.nodePasswordHash();
      const { gateway, registration } = await firstOf(
        token?.gatewayTier ?? 'basic',
        signal,
        async (gateway) => {
          await using connection = gateways.connect(gateway);
          const challenge = await connection.challenge({ nodeId, staker: chain.wallet }, signal);
          const request = { challenge, sealTokenId: stake.tokenId, nodePasswordHash, host: describeHost() };
          return { gateway, registration: await connection.register(request, signal) };
        },
      ).catch((error: unknown) => {
        throw countUnnamed(error);
      });
      unnamedRefusals = 0;
      scope.emit('worker.registered', {
        nodeId,
        recordId: stake.recordId,
        sealTokenId: stake.tokenId,
        gatewayId: gateway.id,
        gatewayUrl: gateway.url,
        incarnation: registration.incarnation,
        heartbeatIntervalMs: registration.heartbeatIntervalMs,
        hasJoinCredential: registration.join !== undefined,
      });
      return registration;
    }

    /** A refusal without a reason may be a token that the gateway has not seen yet, for a while. */
    function countUnnamed(error: unknown): unknown {
      if (errorFacts(error).code !== unnamedRefusal) return error;
      unnamedRefusals += 1;
      return unnamedRefusals < patienceWithUnnamedRefusals ? asRetryable(error) : error;
    }

    scope.provide(JoinCredentialSource, { preflight, register });
  },
});

function noGateway(known: number, tier: GatewayTier): DaasError {
  return new DaasError(
    'DAAS_NO_GATEWAY',
    known === 0
      ? 'the cluster names no gateway on chain yet: its operator has to add one (`k3s-daas cluster gateway add`)'
      : `none of the cluster's ${known} gateways is live and open to the tier '${tier}'`,
    { isRetryable: true, exitCode: EXIT.joinDeadline, details: { known, tier } },
  );
}

/** What the operator sees of the machine; nothing here is trusted by anybody. */
function describeHost(): Readonly<Record<string, string | number>> {
  return {
    hostname: os.hostname(),
    platform: os.platform(),
    architecture: os.arch(),
    kernel: os.release(),
    cpus: os.availableParallelism(),
    memory_mib: Math.round(os.totalmem() / 2 ** 20),
  };
}
