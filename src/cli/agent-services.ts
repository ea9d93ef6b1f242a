import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createGatewayConnector, createServerGuard, type ServerGuard } from '#api';
import { trustedServerOf } from '#base';
import { type ChainClient, createChainClient, createStakeChain } from '#chain';
import type { Composition } from '#composition';
import { HostAgent, HostJournal, HostLog } from '#host';
import { bootId, machineId } from '#infrastructure';
import { type GatewayConnector, HostClock, type NodeIdentity, StakeChain } from '#plugin';
import { openNodeIdentity, type ProofSigner } from '#seal';
import { openAttestor } from './agent-attestor.ts';
import { openAgentEvidence } from './agent-evidence.ts';
import { ChainAccess, NodeSigner } from './agent-tokens.ts';
import { chainAccessOf } from './chain-access.ts';
import { deploymentOf, refuseAnyTerms, stakerOf } from './chain-settings.ts';
import { proofsOf, sayTrust } from './chain-trust.ts';
import { nodeKeySealer } from './node-key-sealer.ts';
import { type Loaded, nodeIdOf } from './settings.ts';

// Factories of the parts that are slow to load: Sui's client, the certificate library.

export async function openChainAccess(parts: Composition, settings: Loaded): Promise<ChainClient> {
  const log = parts.get(HostLog);
  const deployment = await deploymentOf(settings);
  sayTrust(deployment, log);
  return createChainClient({
    ...(await chainAccessOf(settings)),
    deployment,
    clock: parts.get(HostClock),
    ...proofsOf(settings.value.stateDir, deployment, log),
  });
}

export async function openStakeChain(parts: Composition, settings: Loaded): Promise<StakeChain> {
  const client = await parts.open(ChainAccess);
  const journal = parts.get(HostJournal).section('chain');
  const chain = createStakeChain({
    client,
    wallet: await stakerOf(settings, { chain: client, nodeId: nodeIdOf(settings), journal }),
    journal,
    log: parts.get(HostLog).child({ part: 'chain' }),
    gasBudgets: settings.value.chain.gasBudgets,
  });
  // Only where a stake would be made: a node that has one is asked for no consent.
  const named = () => refuseAnyTerms(settings, client.deployment);
  return {
    ...chain,
    join: async (request, signal) => {
      named();
      return chain.join(request, signal);
    },
    stakeForNode: async (request, signal) => {
      named();
      return chain.stakeForNode(request, signal);
    },
  };
}

export async function openSigner(parts: Composition, settings: Loaded): Promise<NodeIdentity & ProofSigner> {
  const agent = await parts.open(HostAgent);
  return openNodeIdentity({
    nodeId: nodeIdOf(settings),
    keyFile: join(settings.value.stateDir, 'node.key'),
    passwordFile: await agent.nodePasswordFile(),
    sealer: await nodeKeySealer(settings),
  });
}

export async function openConnector(parts: Composition, settings: Loaded): Promise<GatewayConnector> {
  const agent = await parts.open(HostAgent);
  const clock = parts.get(HostClock);
  const { chainId } = await deploymentOf(settings);
  return createGatewayConnector({
    stakeProofs: async (sealTokenId) => (await parts.open(ChainAccess)).stakeProofs(sealTokenId),
    signer: await parts.open(NodeSigner),
    attestor: await openAttestor(settings, { chainId, clock }),
    evidence: await openAgentEvidence(settings, {
      chainId,
      nowMs: () => clock.nowMs(),
      log: parts.get(HostLog),
    }),
    clock,
    machine: { machineId: await machineId(), bootId: await bootId(), runId: randomUUID() },
    proveKubelet: (text) => agent.proveKubelet(text),
  });
}

/** Compares the server of each join credential with what the chain says about the cluster. */
export async function openServerGuard(parts: Composition, { value }: Loaded): Promise<ServerGuard> {
  const { trustServer } = value.join;
  const chain = await parts.open(StakeChain);
  return createServerGuard({
    cluster: (signal) => chain.cluster(signal),
    trusted: trustServer === undefined ? undefined : trustedServerOf(trustServer),
    log: parts.get(HostLog).child({ part: 'server' }),
    onPassed: (pinned) =>
      parts
        .get(HostJournal)
        .section('server')
        .write('pinned', pinned ?? null),
  });
}
