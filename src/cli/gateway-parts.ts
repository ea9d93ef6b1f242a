import { join } from 'node:path';
import { type Clock, isSingleExecutable, type Log, systemClock } from '#base';
import {
  createChainClient,
  createChangeFollower,
  createProbing,
  type Deployment,
  type Probing,
  type ProofOptions,
  readAnchors,
} from '#chain';
import { openKubernetes, openStakedNodes, openTenants, roleOfPermission } from '#cluster';
import { Composition } from '#composition';
import type { ChainReader, ChangeFollower } from '#domain';
import type { GatewayOptions, RunnableGatewayConfig } from '#gateway';
import { openJournal } from '#infrastructure';
import { type Token, token } from '#plugin';
import type { Leadership } from '#state';
import { type ProbeSettings, probeFigures } from './chain-probe.ts';
import { proofsOf } from './chain-trust.ts';
import { endpointFigures, freshnessFigures } from './endpoint-figures.ts';
import { packageVersion } from './package-version.ts';
import { stateObjectsOf } from './state-objects.ts';

// The parts of a gateway, and the tokens to register others under.

export const GatewayLog: Token<Log> = token('gateway/log');
export const GatewayClock: Token<Clock> = token('gateway/clock');
/** 0 ≤ x < 1; for the jitter of delays, nothing secret. */
export const GatewayRandom: Token<() => number> = token('gateway/random');
/** Reads the chain's facts. */
export const GatewayChain: Token<ChainReader> = token('gateway/chain');
/** Follows the changes of the chain. */
export const GatewayFollower: Token<ChangeFollower> = token('gateway/follower');
/** The figures of the chain endpoints, for `/readyz`. */
export const GatewayFigures: Token<NonNullable<GatewayOptions['figures']>> = token('gateway/figures');
/** How many chain endpoints show nothing newer; `undefined`: nothing is proven. */
export const GatewayAgreement: Token<GatewayOptions['endpointsAgreed']> = token('gateway/agreement');
/** Takes the proofs that anybody brings. */
export const GatewayProofs: Token<NonNullable<GatewayOptions['takeProof']>> = token('gateway/proofs');
/** What makes the namespaces of people, with credentials of its own; `undefined`: nobody gets one. */
export const GatewayTenants: Token<(NonNullable<GatewayOptions['tenants']> & AsyncDisposable) | undefined> =
  token('gateway/tenants');
/** Where the workers are shown; `undefined`: nowhere. */
export const GatewayStakedNodes: Token<ReturnType<typeof openStakedNodes> | undefined> =
  token('gateway/staked-nodes');
/** Pays for probes; `undefined`: nothing is paid. */
const GatewayProbing: Token<Probing | undefined> = token('gateway/probing');
/** Reads what was anchored of the audit file; `undefined`: nothing is. */
const GatewayAnchors: Token<GatewayOptions['anchors']> = token('gateway/anchors');
/** Why what was proven is not written down. */
const GatewayProofFailure: Token<NonNullable<GatewayOptions['proofFailure']>> =
  token('gateway/proof-failure');
/** Makes evidence of what the gateway runs. */
export const GatewayEvidenceDesk: Token<GatewayOptions['evidence']> = token('gateway/evidence');
/** Keeps the cluster from what a gateway would write that does not lead. */
const GatewayFence: Token<{ leadership: Leadership | undefined }> = token('gateway/fence');
/** Judges what workers show of their machines. */
export const GatewayMachines: Token<GatewayOptions['machines']> = token('gateway/machines');
/** The connection to the Kubernetes API server. */
export const GatewayKubernetes: Token<ReturnType<typeof openKubernetes>> = token('gateway/kubernetes');

type ChainAccess = Omit<Parameters<typeof createChainClient>[0], 'deployment' | 'clock' | keyof ProofOptions>;

export interface GatewayComposition {
  readonly config: RunnableGatewayConfig;
  readonly deployment: Deployment;
  readonly access: ChainAccess;
  readonly probe?: ProbeSettings | undefined;
  readonly log: Log;
}

/** The composition root of `k3s-daas gateway run`: a factory for every part that the gateway works on. */
export function gatewayParts({ config, deployment, access, probe, log }: GatewayComposition): Composition {
  const client = token<ReturnType<typeof createChainClient>>('gateway/chain-client');
  const proofs = token<ReturnType<typeof proofsOf>>('gateway/proof-options');
  return new Composition()
    .register(GatewayLog, () => log)
    .register(GatewayClock, () => systemClock)
    .register(GatewayRandom, () => Math.random)
    .register(proofs, (parts) => proofsOf(config.stateDir, deployment, parts.get(GatewayLog)))
    .register(client, (parts) =>
      createChainClient({
        ...access,
        deployment,
        clock: parts.get(GatewayClock),
        // Made with the first reading: it sends through this client.
        onHidden: (recordId) => parts.get(GatewayProbing)?.ask(recordId),
        ...parts.get(proofs),
      }),
    )
    .register(GatewayProofFailure, (parts) => () => parts.get(proofs).proofStore.failure())
    .register(GatewayProbing, (parts) => {
      const [clock, log] = [parts.get(GatewayClock), parts.get(GatewayLog).child({ part: 'probe' })];
      const journal = () => openJournal(join(config.stateDir, 'probes.json'));
      if (!probe) return undefined;
      const { anchor: mode, ...paid } = probe;
      const anchoring = mode && { mode, gatewayId: config.gatewayId };
      return createProbing({ client: parts.get(client), ...paid, anchoring, clock, log, journal });
    })
    .register(GatewayAnchors, (parts) => {
      if (!probe?.anchor) return undefined;
      // The newest of each coin: at a start nothing older counts.
      const clock = parts.get(GatewayClock);
      const { address: wallet } = probe.wallet;
      const wanted = { wallet, gatewayId: config.gatewayId, mostPerCoin: 1, clock };
      return { read: (asked, signal) => readAnchors(parts.get(client), { ...wanted, ...asked }, signal) };
    })
    .register(GatewayChain, (parts) => parts.get(client))
    .register(GatewayFigures, (parts) => {
      const chain = parts.get(client);
      const clock = parts.get(GatewayClock);
      return () => ({
        chain_endpoints: chain.endpoints.status().map(endpointFigures),
        chain_proof: freshnessFigures(chain.freshness(), clock.nowMs()),
        chain_probe: probeFigures(parts.get(GatewayProbing)?.status(), clock.nowMs()),
      });
    })
    .register(GatewayAgreement, (parts) => {
      const chain = parts.get(client);
      return () => chain.freshness()?.endpointsAgreed ?? 0;
    })
    .register(GatewayProofs, (parts) => (text) => parts.get(client).takeProof(text))
    .register(GatewayFollower, (parts) => createChangeFollower(parts.get(client), parts.get(GatewayClock)))
    .register(GatewayTenants, () => tenantsOf(config))
    .register(GatewayStakedNodes, () =>
      config.stakedNodes
        ? openStakedNodes({ kubeconfig: { path: config.kubeconfig, isPrivate: true } })
        : undefined,
    )
    .register(GatewayEvidenceDesk, async (parts) => {
      const { openGatewayEvidence } = await import('./gateway-evidence.ts');
      const [clock, log] = [parts.get(GatewayClock), parts.get(GatewayLog)];
      return openGatewayEvidence({ config, chainId: deployment.chainId, nowMs: () => clock.nowMs(), log });
    })
    .register(GatewayFence, () => ({ leadership: undefined }))
    .register(GatewayMachines, async (parts) => {
      if (config.admit.attestation.mode === 'off') return undefined;
      const { openMachineJudge } = await import('./gateway-machines.ts');
      const [clock, log] = [parts.get(GatewayClock), parts.get(GatewayLog)];
      return openMachineJudge({ config, chainId: deployment.chainId, clock, log });
    })
    .register(GatewayKubernetes, (parts) =>
      openKubernetes({
        mayWrite: () => parts.get(GatewayFence).leadership?.isLeading() ?? true,
        kubeconfig: { path: config.kubeconfig, isPrivate: true },
        log: parts.get(GatewayLog).child({ part: 'cluster' }),
      }),
    );
}

function tenantsOf({ tenants }: RunnableGatewayConfig) {
  if (!tenants.enabled) return undefined;
  const { kubeconfig, placement, podSecurity, quota, roles } = tenants;
  const source = { path: kubeconfig, isPrivate: true };
  const roleOf = (permission: string) => roleInForce(roles, permission);
  const keeper = openTenants({ kubeconfig: source, placement, podSecurity, quota, roleOf });
  return { keeper, roleOf, [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose]() };
}

/** The ClusterRole of a permission by the configuration; `undefined`: it grants nothing. */
export function roleInForce(
  roles: RunnableGatewayConfig['tenants']['roles'],
  permission: string,
): string | undefined {
  return Object.hasOwn(roles, permission) ? (roles[permission] ?? undefined) : roleOfPermission(permission);
}

/** The options of `startGateway`, from the parts. */
export async function gatewayOptions(
  parts: Composition,
  {
    config,
    clusterId,
    endpoints,
    isProven,
    signingKey,
  }: {
    readonly config: RunnableGatewayConfig;
    readonly clusterId: string;
    readonly endpoints: number;
    readonly isProven: boolean;
    readonly signingKey?: GatewayOptions['signingKey'];
  },
): Promise<GatewayOptions> {
  return {
    config,
    clusterId,
    endpoints,
    isProven,
    signingKey,
    // `fork` puts the file before the arguments; the single executable is no file of Node's and takes its own words first.
    authorizerProgram: isSingleExecutable
      ? { file: 'gateway', args: ['authorizer-process'] }
      : { file: process.argv[1] ?? '', args: ['gateway', 'authorizer-process'] },
    chain: await parts.open(GatewayChain),
    follower: await parts.open(GatewayFollower),
    kubernetes: await parts.open(GatewayKubernetes),
    openStateObjects: stateObjectsOf(config, parts.get(GatewayLog)),
    clock: parts.get(GatewayClock),
    random: parts.get(GatewayRandom),
    log: parts.get(GatewayLog),
    version: packageVersion(),
    figures: parts.get(GatewayFigures),
    onLeadership: (leadership) => {
      parts.get(GatewayFence).leadership = leadership;
    },
    takeProof: parts.get(GatewayProofs),
    endpointsAgreed: parts.get(GatewayAgreement),
    tenants: await parts.open(GatewayTenants),
    stakedNodes: await parts.open(GatewayStakedNodes),
    evidence: await parts.open(GatewayEvidenceDesk),
    machines: await parts.open(GatewayMachines),
    probe: parts.get(GatewayProbing),
    anchors: parts.get(GatewayAnchors),
    proofFailure: parts.get(GatewayProofFailure),
  };
}
