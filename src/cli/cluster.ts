import { Command } from 'commander';
import { ConfigurationError } from '#base';
import {
  assertTiers,
  type ClusterChange,
  type ClusterSettings,
  type ClusterSnapshot,
  type contracts,
  defaultSettings,
  earlierUnlockMs,
  GATEWAY_STATUSES,
  isPublicNetwork,
  type ParameterState,
  parametersAt,
  planClusterChange,
  planCreateCluster,
  planScheduleParameters,
  readPublication,
  writeDeployment,
} from '#chain';
import { GATEWAY_TIERS } from '#domain';
import {
  canAsk,
  carryOut,
  type DeploymentOptions,
  formatDuration,
  formatTime,
  type NetworkOptions,
  openClusterActor,
  openKubernetes,
  openSession,
  parseCount,
  type SpendOptions,
  withDeployment,
  withNetwork,
  withSpending,
} from './chain-options.ts';
import { addGatewayCommands } from './cluster-gateway.ts';
import {
  addressOf,
  type ParameterOptions,
  parameterRows,
  settingsOf,
  withParameters,
} from './cluster-parameters.ts';
import { assertRolesSaid, removalWarning, roleWarnings } from './cluster-roles.ts';
import { type Io, table } from './io.ts';

/** `k3s-daas cluster create | show | set | gateway add | gateway status`. */
export function clusterCommand(io: Io): Command {
  const command = new Command('cluster').description('The cluster object on chain: parameters and gateways.');
  withParameters(withDeployment(withSpending(command.command('create'))))
    .description('Create a cluster; the wallet becomes its admin. Writes the deployment file.')
    .option(
      '--package <id>',
      'package id (default: the one in the deployment file, from `contracts publish`)',
    )
    .option(
      '--allow-tiny-tiers',
      'allow tiers below 1 SUI on a public network, where a faucet gives that much away',
    )
    .option(
      '--single-operator',
      'make the wallet the only slasher (threshold 1) and the treasury: its key alone can then take every stake',
    )
    .action((options: CreateOptions) => create(io, options));
  withDeployment(withNetwork(command.command('show')))
    .description('Show the cluster: parameters in force and pending, slashers, gateways.')
    .action((options: NetworkOptions & DeploymentOptions) => show(io, options));
  withParameters(withDeployment(withSpending(command.command('set'))))
    .description(
      'Announce new parameters, in force after the unbonding time and one day, or change a role at once.',
    )
    .option(
      '--allow-tiny-tiers',
      'allow tiers below 1 SUI on a public network, where a faucet gives that much away',
    )
    .option('--remove-slasher <address>', 'at once: its votes no longer count')
    .option('--raise-threshold <count>', 'at once: votes needed for a slash')
    .option('--offer-admin <address>', 'offer the admin role; nothing changes until it is accepted')
    .option('--accept-admin', 'take over the admin role that was offered to the wallet')
    .option('--accept-treasury', 'as the new treasury of pending parameters, agree to receive slashed coins')
    .action((options: SetOptions) => set(io, options));
  addGatewayCommands(command, io);
  return command;
}

/** The defaults; where strangers can be, with tiers and a minimum that are no gift (`assertTiers`). */
function proposedSettings(admin: string, isPublic: boolean): ClusterSettings {
  const settings = defaultSettings(admin);
  if (!isPublic) return settings;
  const stakesMist = [1_000_000_000n, 2_000_000_000n, 10_000_000_000n];
  return {
    ...settings,
    minimumStakeMist: 2_000_000_000n,
    tiers: settings.tiers.map(({ permissions }, index) => ({
      stakeMist: stakesMist[index] as bigint,
      permissions,
    })),
  };
}

interface CreateOptions extends SpendOptions, DeploymentOptions, ParameterOptions {
  readonly package?: string;
}

async function create(io: Io, options: CreateOptions): Promise<void> {
  const publication = options.package === undefined ? await readPublication(options.deployment) : undefined;
  if (publication?.clusterId)
    throw new ConfigurationError(
      'DAAS_DEPLOYMENT_EXISTS',
      `${options.deployment} names the cluster ${publication.clusterId} already: name another file with --deployment and the package with --package`,
      { details: { file: options.deployment } },
    );
  const { urls, chainId, endpoints, wallet, gas } = await openSession(io, options);
  if (publication && publication.chainId !== chainId)
    throw new ConfigurationError(
      'DAAS_CHAIN_ID_MISMATCH',
      `${urls.join(', ')} serves the chain ${chainId}, ${options.deployment} names ${publication.chainId}: correct --network or --deployment`,
      { details: { expected: publication.chainId, actual: chainId } },
    );
  const packageId = publication?.packageId ?? addressOf(options.package ?? '', '--package');
  const isPublic = isPublicNetwork(chainId, urls);
  const mustBeSaid = isPublic && !options.singleOperator;
  if (options.singleOperator && (options.slasher ?? options.threshold ?? options.treasury) !== undefined)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      '--single-operator conflicts with --slasher, --threshold and --treasury. Remove one side',
    );
  if (mustBeSaid && !canAsk(io, options)) assertRolesSaid(options);
  const settings = await settingsOf(io, options, proposedSettings(wallet.address, isPublic), mustBeSaid);
  if (!options.allowTinyTiers) assertTiers(settings, { chainId, urls });
  if (mustBeSaid) for (const warning of roleWarnings(settings, wallet.address)) io.warn(warning);
  const plan = await planCreateCluster({ endpoints, wallet, ...gas }, { packageId, settings });
  const created = await carryOut(io, plan, options, {
    question: 'Create the cluster?',
    facts: [
      ['network', `${urls.join(', ')} (chain ${chainId})`],
      ['package', packageId],
      ['admin', wallet.address],
      ...parameterRows(settings),
    ],
    json: { chainId, packageId, admin: wallet.address, parameters: settings },
  });
  if (!created) return;
  const deployment = { chainId, packageId, clusterId: created.clusterId };
  await writeDeployment(options.deployment, deployment);
  io.step('written', options.deployment);
  io.result(
    { ...deployment, digest: created.digest, deployment: options.deployment },
    table([
      ['cluster', created.clusterId],
      ['package', packageId],
      ['chain', chainId],
      ['transaction', created.digest],
      ['next', 'k3s-daas gateway setup, then k3s-daas cluster gateway add'],
    ]),
  );
}

async function show(io: Io, options: NetworkOptions & DeploymentOptions): Promise<void> {
  const client = await openKubernetes(io, options);
  const snapshot = await client.clusterState();
  const { state, nowMs } = snapshot;
  const inForce = parametersAt(state, nowMs);
  io.result(
    {
      clusterId: state.id,
      admin: state.admin,
      offeredAdmin: state.offeredAdmin,
      parameters: inForce,
      pending: pendingOf(snapshot),
      gateways: state.gateways.map(gatewayJson),
      liveRecords: state.nodes.size,
      changeSequence: state.changeSeq,
      chainTimeMs: nowMs,
    },
    clusterText(io, snapshot, inForce),
  );
}

/** When a change that is announced now will count. */
function effect({ state, nowMs }: ClusterSnapshot): string {
  const delayMs = parametersAt(state, nowMs).unbondingMs + 86_400_000n;
  const after = `${formatDuration(delayMs)} after it has landed`;
  const earlierMs = earlierUnlockMs(state, nowMs);
  if (earlierMs <= BigInt(nowMs) + delayMs) return after;
  return `${after}, but not before ${formatTime(Number(earlierMs))}: until then stakes may unbond under an earlier, longer time`;
}

function pendingOf({ state, nowMs }: ClusterSnapshot) {
  return state.pending && BigInt(nowMs) < state.pending.effectiveAtMs ? state.pending : undefined;
}

function clusterText(io: Io, snapshot: ClusterSnapshot, inForce: ParameterState): string {
  const { state } = snapshot;
  const { bold, dim } = io.colour;
  const pending = pendingOf(snapshot);
  const parts = [
    table([
      ['cluster', state.id],
      ['admin', state.admin],
      ...(state.offeredAdmin ? [['offered to', state.offeredAdmin]] : []),
      ['live nodes', state.nodes.size.toString()],
      ['changes', state.changeSeq.toString()],
    ]),
    `${bold('Parameters in force')}\n${table(parameterRows(inForce))}`,
  ];
  if (pending)
    parts.push(
      `${bold(`Pending, in force from ${formatTime(Number(pending.effectiveAtMs))} on`)}${
        pending.treasuryAccepted ? '' : dim(' (the new treasury has not accepted: the old one stays)')
      }\n${table(parameterRows(pending.parameters))}`,
    );
  parts.push(
    `${bold('Gateways')}\n${
      state.gateways.length === 0
        ? 'none: add one with `k3s-daas cluster gateway add`'
        : table([['ID', 'URL', 'TIER', 'STATUS', 'ATTESTATION'], ...state.gateways.map(gatewayRow)])
    }`,
  );
  return parts.join('\n\n');
}

function gatewayRow(gateway: contracts.cluster.Gateway): string[] {
  const { id, url, tier, status, attestationKind } = gatewayJson(gateway);
  return [id, url, tier, status, attestationKind];
}

function gatewayJson(gateway: contracts.cluster.Gateway) {
  return {
    id: gateway.id,
    url: gateway.endpoint,
    tier: GATEWAY_TIERS[gateway.tier] ?? String(gateway.tier),
    status: GATEWAY_STATUSES[gateway.status] ?? String(gateway.status),
    attestationKind: gateway.attestationKind,
    measurement: Buffer.from(gateway.attestationMeasurement).toString('hex'),
    signingKey: Buffer.from(gateway.signingKey).toString('hex'),
    tlsPins: gateway.tlsPins.map((pin) => Buffer.from(pin).toString('hex')),
  };
}

interface SetOptions extends SpendOptions, DeploymentOptions, ParameterOptions {
  readonly removeSlasher?: string;
  readonly raiseThreshold?: string;
  readonly offerAdmin?: string;
  readonly acceptAdmin?: boolean;
  readonly acceptTreasury?: boolean;
}

async function set(io: Io, options: SetOptions): Promise<void> {
  const changes = immediateChanges(options);
  if (changes.length > 1)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      'each change of roles is a transaction of its own: give one of --remove-slasher, --raise-threshold, --offer-admin, --accept-admin, --accept-treasury',
    );
  const [change] = changes;
  if (change) await changeAtOnce(io, change, options);
  else await schedule(io, options);
}

function immediateChanges(options: SetOptions): ClusterChange[] {
  const { removeSlasher, raiseThreshold, offerAdmin, acceptAdmin, acceptTreasury } = options;
  const changes: ClusterChange[] = [];
  if (removeSlasher !== undefined)
    changes.push({ kind: 'remove-slasher', slasher: addressOf(removeSlasher, '--remove-slasher') });
  if (raiseThreshold !== undefined)
    changes.push({ kind: 'raise-threshold', threshold: parseCount(raiseThreshold, '--raise-threshold') });
  if (offerAdmin !== undefined)
    changes.push({ kind: 'offer-admin', admin: addressOf(offerAdmin, '--offer-admin') });
  if (acceptAdmin) changes.push({ kind: 'accept-admin' });
  if (acceptTreasury) changes.push({ kind: 'accept-treasury' });
  return changes;
}

async function changeAtOnce(io: Io, change: ClusterChange, options: SetOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const { kind, ...facts } = change;
  const plan = await planClusterChange(actor, change);
  if (kind === 'remove-slasher') {
    const { state, nowMs } = await actor.client.clusterState();
    const warning = removalWarning(parametersAt(state, nowMs), change.slasher);
    if (warning) io.warn(warning);
  }
  const done = await carryOut(io, plan, options, {
    question: `${kind}?`,
    facts: [
      ['change', kind],
      ['cluster', actor.client.deployment.clusterId],
      ['wallet', actor.wallet.address],
      ...Object.entries(facts).map(([name, value]): [string, string] => [name, String(value)]),
    ],
    json: { change: kind, ...facts, wallet: actor.wallet.address },
  });
  if (done) io.result({ change: kind, ...facts, ...done }, `Done, at once: ${kind} (${done.digest}).`);
}

async function schedule(io: Io, options: SetOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const snapshot = await actor.client.clusterState();
  const standing = parametersAt(snapshot.state, snapshot.nowMs);
  const settings = await settingsOf(io, options, standing);
  const { chainId, clusterId } = actor.client.deployment;
  const urls = actor.client.endpoints.all.map(({ url }) => url);
  if (!options.allowTinyTiers) assertTiers(settings, { chainId, urls });
  if (isPublicNetwork(chainId, urls))
    for (const warning of roleWarnings(settings, snapshot.state.admin)) io.warn(warning);
  const plan = await planScheduleParameters(actor, settings);
  if (pendingOf(snapshot))
    io.warn('A change pends already: this one replaces it, and its delay begins anew.');
  const scheduled = await carryOut(io, plan, options, {
    question: 'Announce these parameters?',
    facts: [
      ['cluster', clusterId],
      ['wallet', actor.wallet.address],
      ...parameterRows(settings),
      ['in force', effect(snapshot)],
    ],
    json: { clusterId, wallet: actor.wallet.address, parameters: settings },
  });
  if (!scheduled) return;
  io.result(
    { clusterId, ...scheduled, parameters: settings },
    `Announced: in force from ${formatTime(scheduled.effectiveAtMs)} on${
      scheduled.isTreasuryAccepted
        ? ''
        : ', with the old treasury unless the new one runs `cluster set --accept-treasury` before'
    } (${scheduled.digest}).`,
  );
}
