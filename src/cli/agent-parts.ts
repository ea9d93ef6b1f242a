import { createAgentSupervisor } from '#agent';
import type { PinnedServer } from '#api';
import type { Log } from '#base';
import type { Composition } from '#composition';
import { HostAgent, HostEventsPart, HostJournal, HostLog, HostRandom, hostParts } from '#host';
import { type AgentSupervisor, GatewayConnector, HostClock, NodeIdentity, StakeChain } from '#plugin';
import { ChainAccess, JoinGuard, NodeSigner } from './agent-tokens.ts';
import { guardedAgent } from './guarded-agent.ts';
import { type Loaded, nodeIdOf } from './settings.ts';

/**
 * The composition root of `k3s-daas agent`: a factory for every part. Chain, node key and the gateway's client are in a file
 * that is loaded when the first of them is needed: on a machine that has joined before, the agent runs by then.
 */
export function agentParts(
  settings: Loaded,
  { log, args }: { readonly log: Log; readonly args: readonly string[] },
): Composition {
  const services = () => import('./agent-services.ts');
  return hostParts()
    .register(HostLog, () => log)
    .register(HostAgent, (parts) =>
      guardedAgent(superviseAgent(parts, settings, args), async (join, signal) => {
        const guard = await parts.open(JoinGuard);
        await guard(join, signal);
      }),
    )
    .register(JoinGuard, async (parts) => (await services()).openServerGuard(parts, settings))
    .register(ChainAccess, async (parts) => (await services()).openChainAccess(parts, settings))
    .register(StakeChain, async (parts) => (await services()).openStakeChain(parts, settings))
    .register(NodeSigner, async (parts) => (await services()).openSigner(parts, settings))
    .register(NodeIdentity, (parts) => parts.open(NodeSigner))
    .register(GatewayConnector, async (parts) => (await services()).openConnector(parts, settings));
}

function superviseAgent(parts: Composition, settings: Loaded, args: readonly string[]): AgentSupervisor {
  const events = parts.get(HostEventsPart);
  return createAgentSupervisor({
    settings: { ...settings.value.agent, args: [...args] },
    nodeId: nodeIdOf(settings),
    journal: parts.get(HostJournal).section('agent'),
    env: process.env,
    checkServer: (server, signal) => checkBeforeStart(parts, server, signal),
    clock: parts.get(HostClock),
    random: parts.get(HostRandom),
    log: parts.get(HostLog).child({ part: 'agent' }),
    // The agent's events are events of the host with the same facts; TypeScript cannot follow that through a generic.
    emit: (event, fact) => events.emit(event, fact as never),
  });
}

/** The server that was checked with the last credential is checked again before each start, without a question to the chain. */
async function checkBeforeStart(
  parts: Composition,
  { url, caHash }: PinnedServer,
  signal: AbortSignal,
): Promise<void> {
  const pinned = parts.get(HostJournal).section('server').read('pinned') as Partial<PinnedServer> | null;
  if (pinned?.url !== url || pinned.caHash !== caHash) return;
  const { checkPinnedServer } = await import('#api');
  await checkPinnedServer({ url, caHash }, { log: parts.get(HostLog).child({ part: 'server' }) }, signal);
}
