import { join } from 'node:path';
import { createGatewayConnector, createServerGuard, type ServerGuard } from '#api';
import { type Log, systemClock } from '#base';
import { createChainClient, createStakeChain } from '#chain';
import { bind, type HostContext, type HostServices } from '#host';
import { type AgentSupervisor, GatewayConnector, NodeIdentity, StakeChain } from '#plugin';
import { openNodeIdentity } from '#seal';
import { chainAccessOf } from './chain-access.ts';
import { deploymentOf, walletOf } from './chain-settings.ts';
import { sayTrust, warnUnproven } from './chain-trust.ts';
import { type Loaded, nodeIdOf } from './settings.ts';

/**
 * Layers meet: the chain, the node's key and the gateway's client become what plugins can ask for. A file of its own, which is
 * loaded when the agent of a node that has joined before runs already.
 */
export async function openServices(
  { journal, log, clock, stateDir }: HostContext,
  settings: Loaded,
  agent: Pick<AgentSupervisor, 'nodePasswordFile'>,
): Promise<HostServices & { readonly guard: ServerGuard }> {
  const chain = createStakeChain({
    client: await openChain(settings, log),
    wallet: await walletOf(settings),
    journal: journal.section('chain'),
    log: log.child({ part: 'chain' }),
    gasBudgets: settings.value.chain.gasBudgets,
  });
  const identity = await openNodeIdentity({
    nodeId: nodeIdOf(settings),
    keyFile: join(stateDir, 'node.key'),
    passwordFile: await agent.nodePasswordFile(),
  });
  return {
    chain,
    guard: createServerGuard({
      cluster: (signal) => chain.cluster(signal),
      log: log.child({ part: 'server' }),
    }),
    bindings: [
      bind(StakeChain, chain),
      bind(NodeIdentity, identity),
      bind(GatewayConnector, createGatewayConnector({ signer: identity, clock })),
    ],
  };
}

async function openChain(settings: Loaded, log: Log) {
  const deployment = await deploymentOf(settings);
  sayTrust(deployment, log);
  return createChainClient({
    ...(await chainAccessOf(settings)),
    deployment,
    clock: systemClock,
    onUnproven: warnUnproven(log),
  });
}
