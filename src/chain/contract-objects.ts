import { createHash } from 'node:crypto';
import { displayText } from '#base';
import {
  type Cluster,
  type ClusterParameters,
  GATEWAY_TIERS,
  type GatewayEntry,
  type OpenProposal,
  type RingEntry,
  type SealToken,
  type StakeRecord,
  type StakeStatus,
  type StakeType,
} from '#domain';
import { cluster as clusterModule, k8sGateway, slashing, staking } from './generated/index.ts';

/** Statuses of a gateway as the contracts number them. */
export const GATEWAY_STATUSES = ['live', 'draining', 'retired'] as const;
export type GatewayStatus = (typeof GATEWAY_STATUSES)[number];
const STAKE_STATUSES: readonly StakeStatus[] = ['active', 'unbonding', 'slashed', 'withdrawn'];
const STAKE_TYPES: readonly StakeType[] = ['node', 'user', 'admin'];
const PROPOSAL_STATUSES = ['open', 'executed', 'expired', 'cancelled'] as const;
type ProposalStatus = (typeof PROPOSAL_STATUSES)[number];

/** The cluster object as it is stored, for those who show or change it. */
export type ClusterState = clusterModule.Cluster;
export type ParameterState = clusterModule.Parameters;

/**
 * The parameters in force at a time, in the same words as `cluster::parameters_at`: the pending ones from their hour on,
 * with the old treasury as long as the new one has not accepted.
 */
export function parametersAt(state: ClusterState, nowMs: number): ParameterState {
  const { pending, parameters } = state;
  if (!pending || BigInt(nowMs) < pending.effectiveAtMs) return parameters;
  return announced(state, pending);
}

function announced(state: ClusterState, pending: clusterModule.PendingParameters): ParameterState {
  return pending.treasuryAccepted
    ? pending.parameters
    : { ...pending.parameters, treasury: state.parameters.treasury };
}

/**
 * Before when no change of parameters counts that is announced now, whatever its own delay: everybody is out by then who
 * began to unbond under earlier parameters (`cluster::settle`).
 */
export function earlierUnlockMs(
  { pending, parameters, earlierUnlockMs }: ClusterState,
  nowMs: number,
): bigint {
  return pending && BigInt(nowMs) >= pending.effectiveAtMs
    ? pending.effectiveAtMs + parameters.unbondingMs
    : earlierUnlockMs;
}

/** All permissions of a stake of this size, lowest tier first: `cluster::permissions_of`. */
export function permissionsOf(parameters: ParameterState, stakeMist: bigint): string[] {
  return parameters.tiers
    .filter((tier) => stakeMist >= tier.stakeMist)
    .flatMap(({ permissions }) => permissions);
}

export function decodeCluster(content: Uint8Array): ClusterState {
  return clusterModule.Cluster.parse(content);
}

/** `nowMs`: the chain's clock. */
export function clusterFacts(state: ClusterState, version: bigint, nowMs: number): Cluster {
  const inForce = parametersAt(state, nowMs);
  const { pending } = state;
  return {
    id: state.id,
    version,
    admin: state.admin,
    slashers: inForce.slashers,
    parameters: parameterFacts(inForce),
    pending:
      pending && BigInt(nowMs) < pending.effectiveAtMs
        ? {
            parameters: parameterFacts(announced(state, pending)),
            slashers: pending.parameters.slashers,
            effectiveAtMs: Number(pending.effectiveAtMs),
          }
        : undefined,
    termsVersion: state.termsVersion,
    termsFingerprint: termsFingerprint(state),
    servers: state.servers,
    caHashes: state.caHashes,
    gateways: state.gateways.map(gatewayFacts),
    changeSequence: state.changeSeq,
    ...ringFacts(state),
    recordsTable: state.nodes.id,
  };
}

/**
 * Names the terms of a cluster: 32 hex digits of a SHA-256 over cluster id, admin, version of the terms and the parameters
 * that hold once what is pending is in force. The version rises with each act that changes terms, so the value changes by such
 * an act and never by time.
 */
export function termsFingerprint(state: ClusterState): string {
  const final = state.pending ? announced(state, state.pending) : state.parameters;
  const hash = createHash('sha256').update(
    `k3s-daas terms\n${state.id}\n${state.admin}\n${state.termsVersion}\n`,
  );
  return hash.update(clusterModule.Parameters.serialize(final).toBytes()).digest('hex').slice(0, 32);
}

/**
 * The six rings as the two that readers follow: what can end a node, and the rest. Only what falls out of a ring of nodes
 * makes a reader read everything again: user stakes are cheap, and many of them must not cost every gateway a full pass.
 */
function ringFacts({
  nodeRings,
  accountRings,
}: ClusterState): Pick<
  Cluster,
  'criticalRing' | 'forcedRing' | 'otherRing' | 'droppedCritical' | 'droppedOther'
> {
  const critical = [nodeRings.forced, nodeRings.ended, accountRings.forced, accountRings.ended];
  const other = [nodeRings.other, accountRings.other];
  return {
    criticalRing: inOrder(critical),
    forcedRing: inOrder([nodeRings.forced, accountRings.forced]),
    otherRing: inOrder(other),
    droppedCritical: lastDropped([nodeRings.forced, nodeRings.ended]),
    droppedOther: lastDropped([nodeRings.other]),
  };
}

/** Each record once, at its last change. */
function inOrder(rings: readonly clusterModule.Ring[]): RingEntry[] {
  const entries = rings.flatMap((ring) => ring.entries);
  entries.sort((a, b) => (a.sequence < b.sequence ? -1 : 1));
  const last = new Map(entries.map(({ record, sequence }) => [record, sequence]));
  return entries.filter(({ record, sequence }) => last.get(record) === sequence);
}

function lastDropped(rings: readonly clusterModule.Ring[]): bigint {
  let last = 0n;
  for (const { droppedSeq } of rings) if (droppedSeq > last) last = droppedSeq;
  return last;
}

function parameterFacts(state: ParameterState): ClusterParameters {
  const [reads = 0n, worker = 0n, everything = 0n] = state.tiers.map(({ stakeMist }) => stakeMist);
  const [basic = [], standard = [], premium = []] = state.tiers.map(({ permissions }) => permissions);
  return {
    minimumWorkerStakeMist: state.minimumStakeMist,
    minimumTopUpMist: state.minimumTopUpMist,
    tiersMist: [reads, worker, everything],
    tierPermissions: [basic, standard, premium],
    unbondingMs: Number(state.unbondingMs),
    longestTokenLifeEpochs: state.maximumTokenEpochs,
    slashThreshold: Number(state.slashThreshold),
    proposalLifeMs: Number(state.proposalLifeMs),
    challengeMs: Number(state.challengeMs),
    treasury: state.treasury,
  };
}

function gatewayFacts(gateway: clusterModule.Gateway): GatewayEntry {
  return {
    id: gateway.id,
    url: gateway.endpoint,
    tlsPins: gateway.tlsPins,
    attestationKind: gateway.attestationKind,
    measurement: gateway.attestationMeasurement,
    signingKey: gateway.signingKey,
    tier: named(GATEWAY_TIERS, gateway.tier),
    isLive: gateway.status === GATEWAY_STATUSES.indexOf('live'),
  };
}

export function recordFacts(content: Uint8Array): StakeRecord {
  const record = staking.StakeRecord.parse(content);
  const stakeType = STAKE_TYPES.find((type) => type === record.stakeType);
  if (!stakeType) throw new RangeError(`unknown stake type '${record.stakeType}'`);
  return {
    id: record.id,
    cluster: record.cluster,
    staker: record.staker,
    nodeId: record.nodeId,
    stakeType,
    stakeMist: record.balance,
    status: named(STAKE_STATUSES, record.status),
    stakedAtMs: Number(record.stakedAtMs),
    minimumWhenStakedMist: record.minimumWhenStakedMist,
    unlockAtMs: Number(record.unlockAtMs),
    slashedMist: record.slashedAmount,
    // Any text at all: shown as it is, it could paint over what another slasher is asked to agree to.
    slashReason: displayText(record.slashReason),
    token: record.token,
    tokenSequence: record.tokenSequence,
    openProposals: BigInt(record.openProposals.length),
    proposals: record.openProposals.map(proposalNote),
    holdUntilMs: Number(record.holdUntilMs),
    lastSequence: record.lastSequence,
  };
}

function proposalNote(note: staking.OpenProposal): OpenProposal {
  const { proposal: id, proposer, hasProposersVote, seconders, expiresAtMs } = note;
  const voters = hasProposersVote ? [proposer, ...seconders] : seconders;
  return { id, proposer, voters, expiresAtMs: Number(expiresAtMs) };
}

export function tokenFacts(content: Uint8Array): SealToken {
  const token = k8sGateway.SealToken.parse(content);
  return {
    id: token.id,
    tokenHash: token.tokenHash,
    owner: token.owner,
    cluster: token.cluster,
    stakeId: token.stakeId,
    nodeId: token.nodeId,
    holderKey: token.holderKey,
    stakeMist: token.stakeAmount,
    permissions: token.permissions,
    issuedEpoch: token.issuedEpoch,
    expiresAtEpoch: token.expiresAt,
    gatewayTier: named(GATEWAY_TIERS, token.gatewayTier),
    sequence: token.sequence,
  };
}

/**
 * The fields of an object of our package; `undefined` for any other type. `type` has full addresses, as object types are
 * written on chain.
 */
export function decodeObject(
  packageId: string,
  type: string,
  contents: Uint8Array,
): Readonly<Record<string, unknown>> | undefined {
  const own: Readonly<Record<string, (bytes: Uint8Array) => object>> = {
    'staking::StakeRecord': recordFacts,
    'k8s_gateway::SealToken': tokenFacts,
    'slashing::SlashProposal': proposalFacts,
    'cluster::Cluster': decodeCluster,
  };
  const decode = type.startsWith(`${packageId}::`) ? own[type.slice(packageId.length + 2)] : undefined;
  return decode ? { ...decode(contents) } : undefined;
}

/**
 * Whether an object of our package is one of this cluster: the package is shared, and anybody makes a cluster of it, with stake
 * records of any name. Bytes that are no such object belong to none.
 */
export function isOfCluster(
  { packageId, clusterId }: { readonly packageId: string; readonly clusterId: string },
  type: string,
  contents: Uint8Array,
): boolean {
  try {
    const { id, cluster = id } = decodeObject(packageId, type, contents) ?? {};
    return cluster === clusterId;
  } catch {
    return false;
  }
}

/** A slash proposal as it is stored. */
export interface SlashProposal {
  readonly id: string;
  readonly cluster: string;
  readonly recordId: string;
  readonly proposer: string;
  readonly amountMist: bigint;
  readonly reason: string;
  /** Hash of what shows it, 32 bytes; all zero when there is none. */
  readonly evidence: Uint8Array;
  /** Hash of the staker's answer; empty until then. */
  readonly answer: Uint8Array;
  readonly votes: readonly string[];
  readonly electorate: readonly string[];
  readonly thresholdAtOpening: number;
  readonly status: ProposalStatus;
  readonly openedAtMs: number;
  /** Not before: until then the staker can answer. */
  readonly executableAtMs: number;
  readonly expiresAtMs: number;
}

export function proposalFacts(content: Uint8Array): SlashProposal {
  const proposal = slashing.SlashProposal.parse(content);
  return {
    id: proposal.id,
    cluster: proposal.cluster,
    recordId: proposal.record,
    proposer: proposal.proposer,
    amountMist: proposal.amountMist,
    reason: displayText(proposal.reason),
    evidence: proposal.evidence,
    answer: proposal.answer,
    votes: proposal.votes,
    electorate: proposal.electorate,
    thresholdAtOpening: Number(proposal.thresholdAtOpening),
    status: named(PROPOSAL_STATUSES, proposal.status),
    openedAtMs: Number(proposal.openedAtMs),
    executableAtMs: Number(proposal.executableAtMs),
    expiresAtMs: Number(proposal.expiresAtMs),
  };
}

function named<T>(names: readonly T[], index: number): T {
  const name = names[index];
  // Our package is immutable, so this is a reader that is older than the package it was pointed at.
  if (name === undefined) throw new RangeError(`unknown number ${index}, known: ${names.join(', ')}`);
  return name;
}
