import { normalizeSuiAddress } from '@mysten/sui/utils';
import { ConfigurationError } from '#base';
import { GATEWAY_TIERS, type GatewayTier } from '#domain';
import { isLoopbackHost } from '#infrastructure';
import type { ChainClient } from './chain-client.ts';
import { type ContractBuild, verifyBytecode } from './contract-build.ts';
import { type Endpoints, type EndpointsOptions, openEndpoints } from './endpoint.ts';
import { ChainError, executionError } from './errors.ts';
import { GATEWAY_STATUSES, type GatewayStatus, type ParameterState } from './facts.ts';
import type { GasCost } from './gas.ts';
import { cluster, slashing, staking } from './generated/index.ts';
import { mintRequest, stakeRequest } from './stake-chain.ts';
import {
  deliver,
  type Executed,
  eventOf,
  failureOf,
  prepareTransaction,
  signTransaction,
  type TransactionRequest,
} from './transactions.ts';
import type { Wallet } from './wallet.ts';

/**
 * A transaction that is ready to be signed: what it will do and cost is known, nothing has happened yet. Planning
 * simulates it, so what the contract would refuse is refused here, by name, at no cost.
 */
export interface Plan<T> {
  readonly digest: string;
  readonly cost: GasCost;
  /** The most gas it may take. */
  readonly budgetMist: bigint;
  /** Signs, sends, and waits until it is known what became of it. */
  execute(signal?: AbortSignal): Promise<T>;
}

/** Who acts, through which nodes. */
export interface Actor {
  readonly endpoints: Endpoints;
  readonly wallet: Wallet;
  /** The most gas; found by simulation when left out. */
  readonly budgetMist?: bigint;
  /** Offered for a unit of gas, to be carried out before others; the reference price when left out. */
  readonly gasPriceMist?: bigint;
  /** How long to find out what became of a transaction; default 60 s. */
  readonly settleForMs?: number;
}
/** Somebody who acts on one cluster. */
export interface ClusterActor extends Omit<Actor, 'endpoints'> {
  readonly client: ChainClient;
}

const DEFAULT_SETTLE_FOR_MS = 60_000;
/** How long a read is tried again. */
const RETRY_FOR_MS = 2_000;

async function plan<T>(
  actor: Actor,
  request: Omit<TransactionRequest, 'sender' | 'budgetMist' | 'gasPriceMist'>,
  resultOf: (transaction: Executed) => T,
  signal?: AbortSignal,
): Promise<Plan<T>> {
  const { wallet, endpoints, budgetMist, gasPriceMist } = actor;
  const whole: TransactionRequest = {
    ...request,
    sender: wallet.address,
    ...(budgetMist !== undefined && { budgetMist }),
    ...(gasPriceMist !== undefined && { gasPriceMist }),
  };
  const prepared = await endpoints.withOne((endpoint) => prepareTransaction(endpoint, whole, signal), signal);
  return {
    digest: prepared.digest,
    cost: prepared.cost,
    budgetMist: prepared.budgetMist,
    execute: async (ended) => {
      const signed = await signTransaction(wallet, prepared);
      const retryForMs = actor.settleForMs ?? DEFAULT_SETTLE_FOR_MS;
      const delivery = await deliver(endpoints, signed, { retryForMs, signal: ended });
      if (delivery.kind === 'dead')
        throw new ChainError(
          'DAAS_TRANSACTION_OVERTAKEN',
          `nothing was done, the transaction ${signed.digest} cannot be carried out any more: ${delivery.reason}; run the command again`,
          { isRetryable: true, details: { digest: signed.digest, reason: delivery.reason } },
        );
      const { transaction } = delivery;
      if (!transaction.success)
        throw executionError(failureOf(transaction.error, request.packageId), { digest: transaction.digest });
      return resultOf(transaction);
    },
  };
}

function planOnCluster<T>(
  { client, ...actor }: ClusterActor,
  shared: readonly string[],
  build: TransactionRequest['build'],
  resultOf: (transaction: Executed) => T,
  signal?: AbortSignal,
): Promise<Plan<T>> {
  const { packageId, clusterId } = client.deployment;
  return plan(
    { ...actor, endpoints: client.endpoints },
    { shared: [clusterId, ...shared], spendMist: 0n, packageId, build },
    resultOf,
    signal,
  );
}

const digestOf = ({ digest }: Executed) => ({ digest });

export interface NetworkOptions
  extends Pick<EndpointsOptions, 'clock' | 'chainId' | 'allowInsecure' | 'headers' | 'environment'> {
  readonly timeoutMs?: number;
}

/**
 * Opens full nodes whose chain is not known beforehand: the first that answers says which it is, and the others must
 * serve the same.
 */
export async function openNetwork(
  urls: readonly string[],
  { chainId: expected, timeoutMs = 10_000, ...options }: NetworkOptions,
  signal?: AbortSignal,
): Promise<{ endpoints: Endpoints; chainId: string }> {
  const rest = { ...options, timeoutMs, retryForMs: RETRY_FOR_MS };
  const unpinned = openEndpoints(urls, rest);
  const chainId = expected ?? (await unpinned.withOne((endpoint) => endpoint.chainId(signal), signal));
  return { endpoints: openEndpoints(urls, { ...rest, chainId }), chainId };
}

// === Publishing ===

export interface Published {
  readonly digest: string;
  readonly packageId: string;
  /** Whoever owns it can change the package; `undefined` when it is immutable. */
  readonly upgradeCapId: string | undefined;
}

/** Publishes the contracts; the upgrade cap is destroyed in the same transaction unless `isUpgradable`. */
export function planPublish(
  actor: Actor,
  { build, isUpgradable = false }: { readonly build: ContractBuild; readonly isUpgradable?: boolean },
  signal?: AbortSignal,
): Promise<Plan<Published>> {
  return plan(
    actor,
    {
      shared: [],
      spendMist: 0n,
      build: (tx) => {
        const cap = tx.publish({
          modules: Object.values(build.modules),
          dependencies: build.dependencies.map((id) => normalizeSuiAddress(id)),
        });
        if (isUpgradable) tx.transferObjects([cap], actor.wallet.address);
        else tx.moveCall({ target: '0x2::package::make_immutable', arguments: [cap] });
      },
    },
    (transaction) => {
      const [packageId] = transaction.published;
      if (!packageId)
        throw new ChainError(
          'DAAS_CHAIN_ANSWER_INCOMPLETE',
          `the transaction ${transaction.digest} landed, and the node does not name the package it published: look it up by the digest`,
          { details: { digest: transaction.digest } },
        );
      return {
        digest: transaction.digest,
        packageId: normalizeSuiAddress(packageId),
        upgradeCapId: transaction.created.find(({ type }) => type.endsWith('::package::UpgradeCap'))?.id,
      };
    },
    signal,
  );
}

/** Publishes, and makes sure that what is on chain is the build. */
export async function publishPackage(
  actor: Actor,
  options: { readonly build: ContractBuild; readonly isUpgradable?: boolean },
  signal?: AbortSignal,
): Promise<Published> {
  const published = await (await planPublish(actor, options, signal)).execute(signal);
  await verifyPublished(actor.endpoints, published.packageId, options.build, signal);
  return published;
}

/** Throws `DAAS_BYTECODE_DIFFERS`. */
export function verifyPublished(
  endpoints: Endpoints,
  packageId: string,
  build: ContractBuild,
  signal?: AbortSignal,
): Promise<void> {
  return endpoints.withOne((endpoint) => verifyBytecode(endpoint, packageId, build, signal), signal);
}

// === Clusters ===

/** What a cluster is created with, or changed to; amounts in MIST, times in ms. */
export type ClusterSettings = ParameterState;

/** The seed's tiers; a public network refuses them without a word (`assertTiers`). */
export const DEFAULT_TIERS: ClusterSettings['tiers'] = [
  { stakeMist: 100n, permissions: ['pods:read', 'services:read'] },
  { stakeMist: 1_000n, permissions: ['nodes:write', 'pods:write'] },
  { stakeMist: 10_000n, permissions: ['*:*'] },
];

/** Settings for a cluster whose admin is its only slasher and its treasury: the single operator. */
export function defaultSettings(admin: string): ClusterSettings {
  return {
    minimumStakeMist: 1_000_000_000n,
    minimumTopUpMist: 100_000_000n,
    tiers: DEFAULT_TIERS,
    unbondingMs: 604_800_000n,
    maximumTokenEpochs: 30n,
    slashers: [admin],
    slashThreshold: 1n,
    proposalLifeMs: 86_400_000n,
    treasury: admin,
  };
}

const PUBLIC_CHAINS: Readonly<Record<string, string>> = {
  '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S': 'mainnet',
  '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD': 'testnet',
};
const MIST_PER_SUI = 1_000_000_000n;

/**
 * Whether strangers can be on this chain: one of the known public ones, or reached through an address other than
 * loopback. (Devnet has a new genesis every week, so its chain id says nothing; a chain on another machine may have a
 * faucet that anybody can ask.)
 */
export function isPublicNetwork(chainId: string, urls: readonly string[]): boolean {
  return chainId in PUBLIC_CHAINS || urls.some((url) => !isLoopbackHost(new URL(url).hostname));
}

/** Throws `DAAS_TIERS_TOO_LOW` (exit 78) for tiers below 1 SUI where strangers can be. */
export function assertTiers(
  settings: Pick<ClusterSettings, 'tiers'>,
  network: { readonly chainId: string; readonly urls: readonly string[] },
): void {
  const tiny = settings.tiers.filter(({ stakeMist }) => stakeMist < MIST_PER_SUI);
  if (tiny.length === 0 || !isPublicNetwork(network.chainId, network.urls)) return;
  throw new ConfigurationError(
    'DAAS_TIERS_TOO_LOW',
    `${tiny.length} of the tiers are below 1 SUI on a public network, where a faucet would buy ${tiny.at(-1)?.permissions.join(' ')}: give --tiers of at least 1 SUI, or --allow-tiny-tiers if you mean it`,
    { details: { tiersMist: settings.tiers.map(({ stakeMist }) => stakeMist) } },
  );
}

function parametersArgument(
  tx: Parameters<TransactionRequest['build']>[0],
  packageId: string,
  settings: ClusterSettings,
) {
  return cluster.newParameters(tx, packageId, {
    minimumStakeMist: settings.minimumStakeMist,
    minimumTopUpMist: settings.minimumTopUpMist,
    tierStakesMist: settings.tiers.map(({ stakeMist }) => stakeMist),
    tierPermissions: settings.tiers.map(({ permissions }) => permissions),
    unbondingMs: settings.unbondingMs,
    maximumTokenEpochs: settings.maximumTokenEpochs,
    slashers: settings.slashers,
    slashThreshold: settings.slashThreshold,
    proposalLifeMs: settings.proposalLifeMs,
    treasury: settings.treasury,
  });
}

export interface ClusterCreated {
  readonly digest: string;
  readonly clusterId: string;
}

/** Makes a cluster whose admin is the wallet. */
export function planCreateCluster(
  actor: Actor,
  { packageId, settings }: { readonly packageId: string; readonly settings: ClusterSettings },
  signal?: AbortSignal,
): Promise<Plan<ClusterCreated>> {
  return plan(
    actor,
    {
      shared: [],
      spendMist: 0n,
      packageId,
      build: (tx) => {
        cluster.createCluster(tx, packageId, { parameters: parametersArgument(tx, packageId, settings) });
      },
    },
    (transaction) => ({
      digest: transaction.digest,
      clusterId: cluster.ClusterCreated.parse(
        expectEvent(transaction, packageId, cluster.MODULE, 'ClusterCreated'),
      ).cluster,
    }),
    signal,
  );
}

export async function createCluster(
  actor: Actor,
  options: { readonly packageId: string; readonly settings: ClusterSettings },
  signal?: AbortSignal,
): Promise<ClusterCreated> {
  return (await planCreateCluster(actor, options, signal)).execute(signal);
}

/**
 * Announces new parameters; they are in force after the unbonding time and a day, and when everybody is out who unbonds
 * under longer terms.
 */
export function planScheduleParameters(
  actor: ClusterActor,
  settings: ClusterSettings,
  signal?: AbortSignal,
): Promise<Plan<{ digest: string; effectiveAtMs: number; isTreasuryAccepted: boolean }>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [],
    (tx, objects) => {
      cluster.scheduleParameters(tx, packageId, {
        cluster: objects.mutable(clusterId),
        parameters: parametersArgument(tx, packageId, settings),
      });
    },
    (transaction) => {
      const event = cluster.ParametersScheduled.parse(
        expectEvent(transaction, packageId, cluster.MODULE, 'ParametersScheduled'),
      );
      return {
        digest: transaction.digest,
        effectiveAtMs: Number(event.effectiveAtMs),
        isTreasuryAccepted: event.treasuryAccepted,
      };
    },
    signal,
  );
}

/** What the admin, or whom something was offered to, can do at once. */
export type ClusterChange =
  | { readonly kind: 'remove-slasher'; readonly slasher: string }
  | { readonly kind: 'raise-threshold'; readonly threshold: bigint }
  | { readonly kind: 'accept-treasury' }
  | { readonly kind: 'offer-admin'; readonly admin: string }
  | { readonly kind: 'accept-admin' };

export function planClusterChange(
  actor: ClusterActor,
  change: ClusterChange,
  signal?: AbortSignal,
): Promise<Plan<{ digest: string }>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [],
    (tx, objects) => {
      const target = { cluster: objects.mutable(clusterId) };
      switch (change.kind) {
        case 'remove-slasher':
          return void cluster.removeSlasher(tx, packageId, { ...target, slasher: change.slasher });
        case 'raise-threshold':
          return void cluster.raiseSlashThreshold(tx, packageId, {
            ...target,
            slashThreshold: change.threshold,
          });
        case 'accept-treasury':
          return void cluster.acceptTreasury(tx, packageId, target);
        case 'offer-admin':
          return void cluster.offerAdmin(tx, packageId, { ...target, newAdmin: change.admin });
        case 'accept-admin':
          return void cluster.acceptAdmin(tx, packageId, target);
        default:
          return change satisfies never;
      }
    },
    digestOf,
    signal,
  );
}

// === Gateways ===

/** A gateway as it is registered on chain. */
export interface NewGateway {
  /** `https://…` */
  readonly url: string;
  /** SHA-256 of the SubjectPublicKeyInfo, 32 bytes each, at most two. */
  readonly tlsPins: readonly Uint8Array[];
  /** `none` for a gateway outside a TEE. */
  readonly attestationKind: string;
  readonly measurement: Uint8Array;
  /** Ed25519, 32 bytes. */
  readonly signingKey: Uint8Array;
  readonly tier: GatewayTier;
}

export function planAddGateway(
  actor: ClusterActor,
  gateway: NewGateway,
  signal?: AbortSignal,
): Promise<Plan<{ digest: string; gatewayId: string }>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [],
    (tx, objects) => {
      cluster.registerGateway(tx, packageId, {
        cluster: objects.mutable(clusterId),
        endpoint: gateway.url,
        tlsPins: gateway.tlsPins,
        attestationKind: gateway.attestationKind,
        attestationMeasurement: gateway.measurement,
        signingKey: gateway.signingKey,
        tier: GATEWAY_TIERS.indexOf(gateway.tier),
      });
    },
    (transaction) => ({
      digest: transaction.digest,
      gatewayId: cluster.GatewayRegistered.parse(
        expectEvent(transaction, packageId, cluster.MODULE, 'GatewayRegistered'),
      ).gateway.id,
    }),
    signal,
  );
}

export async function addGateway(
  actor: ClusterActor,
  gateway: NewGateway,
  signal?: AbortSignal,
): Promise<{ digest: string; gatewayId: string }> {
  return (await planAddGateway(actor, gateway, signal)).execute(signal);
}

export function planSetGatewayStatus(
  actor: ClusterActor,
  { gatewayId, status }: { readonly gatewayId: string; readonly status: GatewayStatus },
  signal?: AbortSignal,
): Promise<Plan<{ digest: string }>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [],
    (tx, objects) => {
      cluster.setGatewayStatus(tx, packageId, {
        cluster: objects.mutable(clusterId),
        gateway: gatewayId,
        status: GATEWAY_STATUSES.indexOf(status),
      });
    },
    digestOf,
    signal,
  );
}

export async function setGatewayStatus(
  actor: ClusterActor,
  options: { readonly gatewayId: string; readonly status: GatewayStatus },
  signal?: AbortSignal,
): Promise<{ digest: string }> {
  return (await planSetGatewayStatus(actor, options, signal)).execute(signal);
}

// === Staking, for those who only want to know what it would cost ===

type Preview = Pick<Plan<never>, 'cost' | 'budgetMist'>;

/** What `StakeChain.stakeForNode` would do. It keeps no journal: use it to look, not to stake. */
export function planStake(
  { client, wallet, ...gas }: ClusterActor,
  request: { readonly nodeId: string; readonly stakeMist: bigint },
  signal?: AbortSignal,
): Promise<Preview> {
  return preview(client, stakeRequest(wallet.address, client.deployment, request, gas), signal);
}

/** What `StakeChain.createWorkerSealToken` would do; to look, not to mint. */
export function planMint(
  { client, wallet, ...gas }: ClusterActor,
  request: { readonly recordId: string; readonly holderKey: Uint8Array },
  signal?: AbortSignal,
): Promise<Preview> {
  return preview(client, mintRequest(wallet.address, client.deployment, request, gas), signal);
}

async function preview(
  client: ChainClient,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<Preview> {
  const { cost, budgetMist } = await client.endpoints.withOne(
    (endpoint) => prepareTransaction(endpoint, request, signal),
    signal,
  );
  return { cost, budgetMist };
}

// === Slashing ===

/** What a proposal or vote has come to. */
export interface SlashOutcome {
  readonly digest: string;
  readonly proposalId: string;
  readonly recordId: string;
  /** Votes that count, and votes needed, as of this transaction. */
  readonly votes: number;
  readonly threshold: number;
  /** Set when this vote was the one that carried it out. */
  readonly executed: SlashExecuted | undefined;
}
export interface SlashExecuted {
  readonly slashedMist: bigint;
  readonly leftMist: bigint;
  /** The record is slashed for good: what was left is below the minimum. */
  readonly isRecordSlashed: boolean;
}

/** Opens a proposal and votes for it; with a threshold of 1 it is carried out at once. */
export function planProposeSlash(
  actor: ClusterActor,
  {
    recordId,
    amountMist,
    reason,
  }: {
    readonly recordId: string;
    readonly amountMist: bigint;
    readonly reason: string;
  },
  signal?: AbortSignal,
): Promise<Plan<SlashOutcome>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [recordId],
    (tx, objects) => {
      slashing.propose(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
        amountMist,
        reason,
      });
    },
    (transaction) => slashOutcome(transaction, packageId),
    signal,
  );
}

export async function proposeSlash(
  actor: ClusterActor,
  options: { readonly recordId: string; readonly amountMist: bigint; readonly reason: string },
  signal?: AbortSignal,
): Promise<SlashOutcome> {
  return (await planProposeSlash(actor, options, signal)).execute(signal);
}

/** Votes for an open proposal, and carries it out when that is enough. */
export function planVoteSlash(
  actor: ClusterActor,
  { recordId, proposalId }: { readonly recordId: string; readonly proposalId: string },
  signal?: AbortSignal,
): Promise<Plan<SlashOutcome>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [recordId, proposalId],
    (tx, objects) => {
      slashing.vote(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
        proposal: objects.mutable(proposalId),
      });
    },
    (transaction) => slashOutcome(transaction, packageId),
    signal,
  );
}

export async function voteSlash(
  actor: ClusterActor,
  options: { readonly recordId: string; readonly proposalId: string },
  signal?: AbortSignal,
): Promise<SlashOutcome> {
  return (await planVoteSlash(actor, options, signal)).execute(signal);
}

/** Closes a proposal that cannot be carried out any more. Anybody may. */
export function planExpireSlash(
  actor: ClusterActor,
  { recordId, proposalId }: { readonly recordId: string; readonly proposalId: string },
  signal?: AbortSignal,
): Promise<Plan<{ digest: string }>> {
  const { packageId, clusterId } = actor.client.deployment;
  return planOnCluster(
    actor,
    [recordId, proposalId],
    (tx, objects) => {
      slashing.expire(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
        proposal: objects.mutable(proposalId),
      });
    },
    digestOf,
    signal,
  );
}

export async function expireSlash(
  actor: ClusterActor,
  options: { readonly recordId: string; readonly proposalId: string },
  signal?: AbortSignal,
): Promise<{ digest: string }> {
  return (await planExpireSlash(actor, options, signal)).execute(signal);
}

function slashOutcome(transaction: Executed, packageId: string): SlashOutcome {
  const vote = slashing.SlashVoted.parse(expectEvent(transaction, packageId, slashing.MODULE, 'SlashVoted'));
  const slashed = eventOf(transaction, packageId, staking.MODULE, 'StakeSlashed');
  const event = slashed && staking.StakeSlashed.parse(slashed);
  return {
    digest: transaction.digest,
    proposalId: vote.proposal,
    recordId: vote.record,
    votes: Number(vote.votes),
    threshold: Number(vote.threshold),
    executed: event && {
      slashedMist: event.amountMist,
      leftMist: event.balanceMist,
      isRecordSlashed: event.status === 2,
    },
  };
}

function expectEvent(transaction: Executed, packageId: string, module: string, name: string): Uint8Array {
  const event = eventOf(transaction, packageId, module, name);
  if (event) return event;
  throw new ChainError(
    'DAAS_CHAIN_ANSWER_INCOMPLETE',
    `the transaction ${transaction.digest} landed, and the node does not tell its event ${name}: look it up by the digest`,
    { details: { digest: transaction.digest } },
  );
}
