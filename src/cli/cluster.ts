import { Command, Option } from 'commander';
import { ConfigurationError, GATEWAY_TIERS, type GatewayTier, httpsOriginProblem, maskUserInfo } from '#base';
import {
  assertTiers,
  type ClusterChange,
  type ClusterSettings,
  type ClusterSnapshot,
  type contracts,
  defaultSettings,
  earlierUnlockMs,
  formatSui,
  GATEWAY_STATUSES,
  type GatewayStatus,
  isPublicNetwork,
  type ParameterState,
  parametersAt,
  parseSui,
  planAddGateway,
  planClusterChange,
  planCreateCluster,
  planScheduleParameters,
  planSetGatewayStatus,
  readPublication,
  writeDeployment,
} from '#chain';
import {
  ask,
  carryOut,
  type DeploymentOptions,
  formatDuration,
  formatTime,
  type NetworkOptions,
  openCluster,
  openClusterActor,
  openSession,
  parseCount,
  parseDuration,
  parseHex,
  type SpendOptions,
  withDeployment,
  withNetwork,
  withSpending,
} from './chain-options.ts';
import { type Io, table } from './io.ts';

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

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
      'allow tiers below 1 SUI on a public network, where a faucet would buy them',
    )
    .action((options: CreateOptions) => create(io, options));
  withDeployment(withNetwork(command.command('show')))
    .description('Show the cluster: parameters in force and pending, slashers, gateways.')
    .action((options: NetworkOptions & DeploymentOptions) => show(io, options));
  withParameters(withDeployment(withSpending(command.command('set'))))
    .description(
      'Announce new parameters (in force after the unbonding time and a day), or change roles, which happens at once.',
    )
    .option(
      '--allow-tiny-tiers',
      'allow tiers below 1 SUI on a public network, where a faucet would buy them',
    )
    .option('--remove-slasher <address>', 'at once: its votes count no more')
    .option('--raise-threshold <count>', 'at once: votes needed for a slash')
    .option('--offer-admin <address>', 'offer the admin role; nothing changes until it is accepted')
    .option('--accept-admin', 'take over the admin role that was offered to the wallet')
    .option('--accept-treasury', 'agree, as the new treasury of pending parameters, to receive slashed coins')
    .action((options: SetOptions) => set(io, options));
  const gateway = command.command('gateway').description('The gateways that workers may talk to.');
  withDeployment(withSpending(gateway.command('add')))
    .description('Register a gateway, live at once. Prints its id, the audience of Seal proofs.')
    .option('--url <url>', 'https://… as workers reach it')
    .option('--tls-pin <hex>', 'SHA-256 of the TLS public key (SubjectPublicKeyInfo); at most two', collect)
    .option('--signing-key <hex>', 'Ed25519 public key of the gateway, 32 bytes')
    .option('--attestation-kind <name>', 'how it proves what it runs', 'none')
    .option('--measurement <hex>', 'what it must prove', '')
    .addOption(
      new Option('--tier <name>', 'serves workers of this tier and above')
        .choices(GATEWAY_TIERS)
        .default('basic'),
    )
    .action((options: AddOptions) => gatewayAdd(io, options));
  withDeployment(withSpending(gateway.command('status')))
    .description('Set a gateway live, draining (nobody new) or retired (gone for good).')
    .argument('<gateway>', 'id of the gateway')
    .argument('<status>', GATEWAY_STATUSES.join(' | '))
    .action((id: string, status: string, options: SpendOptions & DeploymentOptions) =>
      gatewayStatus(io, id, status, options),
    );
  return command;
}

// === Parameters ===

interface ParameterOptions {
  readonly minimumStake?: string;
  readonly minimumTopUp?: string;
  readonly tiers?: string;
  readonly tierPermissions?: string;
  readonly unbonding?: string;
  readonly tokenEpochs?: string;
  readonly slasher?: string[];
  readonly threshold?: string;
  readonly proposalLife?: string;
  readonly treasury?: string;
  readonly allowTinyTiers?: boolean;
}

function withParameters(command: Command): Command {
  return command
    .option('--minimum-stake <amount>', 'least stake of a worker; at least that of the tier with nodes:write')
    .option('--minimum-top-up <amount>', 'least amount a stake is raised by')
    .option('--tiers <a,b,c>', 'stakes of the tiers basic, standard, premium, such as 1,2,10')
    .option(
      '--tier-permissions <a;b;c>',
      'what each tier adds, such as "pods:read;nodes:write pods:write;*:*"',
    )
    .option('--unbonding <duration>', 'from the wish to leave to the coins, such as 7d')
    .option('--token-epochs <count>', 'longest life of a Seal token')
    .option('--slasher <address>', 'may propose and vote; may be given several times', collect)
    .option('--threshold <count>', 'votes a slash needs')
    .option('--proposal-life <duration>', 'at most a quarter of --unbonding')
    .option('--treasury <address>', 'receives slashed coins');
}

/** Settings from flags; what is missing is asked for, with what stands (or the defaults) as answer. */
async function settingsOf(
  io: Io,
  options: ParameterOptions,
  standing: ClusterSettings,
): Promise<ClusterSettings> {
  const stakes = standing.tiers.map(({ stakeMist }) => formatSui(stakeMist).replace(' ', '')).join(',');
  const answer = (value: string | undefined, question: string, flag: string, fallback: string) =>
    value === undefined ? ask(io, question, flag, fallback) : Promise.resolve(value);
  const minimumStake = await answer(
    options.minimumStake,
    'Least stake of a worker',
    '--minimum-stake',
    formatSui(standing.minimumStakeMist),
  );
  const tiers = await answer(options.tiers, 'Stakes of the three tiers', '--tiers', stakes);
  const unbonding = await answer(
    options.unbonding,
    'Unbonding time',
    '--unbonding',
    formatDuration(standing.unbondingMs),
  );
  const slashers = await answer(
    options.slasher?.join(','),
    'Slashers (addresses, separated by commas)',
    '--slasher',
    standing.slashers.join(','),
  );
  const threshold = await answer(
    options.threshold,
    'Votes a slash needs',
    '--threshold',
    standing.slashThreshold.toString(),
  );
  const treasury = await answer(
    options.treasury,
    'Address that receives slashed coins',
    '--treasury',
    standing.treasury,
  );
  const unbondingMs = parseDuration(unbonding, '--unbonding');
  return {
    minimumStakeMist: parseSui(minimumStake, '--minimum-stake'),
    minimumTopUpMist:
      options.minimumTopUp === undefined
        ? standing.minimumTopUpMist
        : parseSui(options.minimumTopUp, '--minimum-top-up'),
    tiers: tiersOf(tiers, options.tierPermissions, standing),
    unbondingMs,
    maximumTokenEpochs:
      options.tokenEpochs === undefined
        ? standing.maximumTokenEpochs
        : parseCount(options.tokenEpochs, '--token-epochs'),
    slashers: slashers.split(',').map((address) => addressOf(address, '--slasher')),
    slashThreshold: parseCount(threshold, '--threshold'),
    proposalLifeMs: proposalLifeOf(options.proposalLife, unbondingMs, standing.proposalLifeMs),
    treasury: addressOf(treasury, '--treasury'),
  };
}

/** What stands is shortened when the unbonding time no longer allows it and nobody has said otherwise. */
function proposalLifeOf(text: string | undefined, unbondingMs: bigint, standingMs: bigint): bigint {
  if (text !== undefined) return parseDuration(text, '--proposal-life');
  const longestMs = unbondingMs / 4n;
  return standingMs < longestMs ? standingMs : longestMs;
}

function tiersOf(stakes: string, permissions: string | undefined, standing: ClusterSettings) {
  const lists =
    permissions?.split(';').map((list) => list.trim().split(/[\s,]+/)) ??
    standing.tiers.map((tier) => tier.permissions);
  const amounts = stakes.split(',').map((stake) => parseSui(stake, '--tiers'));
  if (amounts.length !== 3 || lists.length !== 3)
    throw new ConfigurationError(
      'DAAS_TIERS_INVALID',
      `there are three tiers: give --tiers three stakes (has ${amounts.length}) and --tier-permissions three lists (has ${lists.length})`,
    );
  return amounts.map((stakeMist, index) => ({ stakeMist, permissions: lists[index] ?? [] }));
}

function addressOf(text: string, origin: string): string {
  const digits = /^0x([0-9a-fA-F]{1,64})$/.exec(text.trim())?.[1];
  if (digits) return `0x${digits.toLowerCase().padStart(64, '0')}`;
  throw new ConfigurationError(
    'DAAS_ADDRESS_INVALID',
    `${origin}: '${text}' is not a Sui address or object id: 0x and up to 64 hexadecimal digits`,
    { details: { origin, value: text } },
  );
}

function parameterRows(parameters: ParameterState): Array<[string, string]> {
  return [
    ['minimum worker stake', formatSui(parameters.minimumStakeMist)],
    ['minimum top-up', formatSui(parameters.minimumTopUpMist)],
    ...parameters.tiers.map((tier, index): [string, string] => [
      `tier ${GATEWAY_TIERS[index] ?? index}`,
      `from ${formatSui(tier.stakeMist)}: ${tier.permissions.join(' ')}`,
    ]),
    ['unbonding time', formatDuration(parameters.unbondingMs)],
    ['longest token life', `${parameters.maximumTokenEpochs} epochs`],
    ['slash', `${parameters.slashThreshold} of ${parameters.slashers.length} slashers`],
    ...parameters.slashers.map((slasher): [string, string] => ['slasher', slasher]),
    ['proposal life', formatDuration(parameters.proposalLifeMs)],
    ['treasury', parameters.treasury],
  ];
}

// === Commands ===

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
  const { urls, chainId, endpoints, wallet, budgetMist } = await openSession(io, options);
  if (publication && publication.chainId !== chainId)
    throw new ConfigurationError(
      'DAAS_CHAIN_ID_MISMATCH',
      `${urls.join(', ')} serves the chain ${chainId}, ${options.deployment} names ${publication.chainId}: correct --network or --deployment`,
      { details: { expected: publication.chainId, actual: chainId } },
    );
  const packageId = publication?.packageId ?? addressOf(options.package ?? '', '--package');
  const settings = await settingsOf(
    io,
    options,
    proposedSettings(wallet.address, isPublicNetwork(chainId, urls)),
  );
  if (!options.allowTinyTiers) assertTiers(settings, { chainId, urls });
  const plan = await planCreateCluster(
    { endpoints, wallet, ...(budgetMist !== undefined && { budgetMist }) },
    { packageId, settings },
  );
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
  const client = await openCluster(io, options);
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
  const done = await carryOut(io, await planClusterChange(actor, change), options, {
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
  if (!options.allowTinyTiers)
    assertTiers(settings, { chainId, urls: actor.client.endpoints.all.map(({ url }) => url) });
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

interface AddOptions extends SpendOptions, DeploymentOptions {
  readonly url?: string;
  readonly tlsPin?: string[];
  readonly signingKey?: string;
  readonly attestationKind: string;
  readonly measurement: string;
  readonly tier: GatewayTier;
}

async function gatewayAdd(io: Io, options: AddOptions): Promise<void> {
  const url = options.url ?? (await ask(io, 'URL of the gateway (https://…)', '--url'));
  const problem = httpsOriginProblem(url);
  if (problem !== undefined)
    throw new ConfigurationError(
      'DAAS_GATEWAY_URL_INVALID',
      `${maskUserInfo(url)} (--url) is no address of a gateway: ${problem}`,
    );
  const signingKey =
    options.signingKey ?? (await ask(io, 'Signing key of the gateway (64 hex digits)', '--signing-key'));
  const actor = await openClusterActor(io, options);
  const pins = options.tlsPin ?? [];
  if (pins.length === 0)
    io.warn('Without --tls-pin, workers trust any certificate of the authorities they are configured with.');
  const plan = await planAddGateway(actor, {
    url,
    tlsPins: pins.map((pin) => parseHex(pin, '--tls-pin')),
    attestationKind: options.attestationKind,
    measurement: parseHex(options.measurement, '--measurement'),
    signingKey: parseHex(signingKey, '--signing-key'),
    tier: options.tier,
  });
  const added = await carryOut(io, plan, options, {
    question: 'Register the gateway?',
    facts: [
      ['cluster', actor.client.deployment.clusterId],
      ['wallet', actor.wallet.address],
      ['url', url],
      ['tier', options.tier],
      ['attestation', options.attestationKind],
      ...pins.map((pin): [string, string] => ['TLS pin', pin]),
    ],
    json: { url, tier: options.tier, tlsPins: pins, wallet: actor.wallet.address },
  });
  if (added)
    io.result(
      { ...added, url, tier: options.tier },
      table([
        ['gateway', added.gatewayId],
        ['url', url],
        ['transaction', added.digest],
      ]),
    );
}

async function gatewayStatus(
  io: Io,
  id: string,
  text: string,
  options: SpendOptions & DeploymentOptions,
): Promise<void> {
  const status = GATEWAY_STATUSES.find((name): name is GatewayStatus => name === text);
  if (!status)
    throw new ConfigurationError(
      'DAAS_STATUS_INVALID',
      `'${text}' is no status of a gateway: use ${GATEWAY_STATUSES.join(', ')}`,
    );
  const gatewayId = addressOf(id, 'the gateway id');
  const actor = await openClusterActor(io, options);
  const done = await carryOut(io, await planSetGatewayStatus(actor, { gatewayId, status }), options, {
    question: status === 'retired' ? 'Retire the gateway for good?' : `Set the gateway ${status}?`,
    facts: [
      ['cluster', actor.client.deployment.clusterId],
      ['wallet', actor.wallet.address],
      ['gateway', gatewayId],
      ['status', status],
    ],
    json: { gatewayId, status, wallet: actor.wallet.address },
  });
  if (done)
    io.result({ gatewayId, status, ...done }, `The gateway ${gatewayId} is ${status} (${done.digest}).`);
}
