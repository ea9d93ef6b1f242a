import { ConfigurationError } from '#base';
import {
  assertProposalLife,
  assertTiers,
  type ClusterActor,
  type ClusterChange,
  type ClusterSnapshot,
  earlierUnlockMs,
  isPublicNetwork,
  operations,
  parametersAt,
} from '#chain';
import { carryOut } from './carry-out.ts';
import {
  type DeploymentOptions,
  formatDuration,
  formatTime,
  openClusterActor,
  parseCount,
  type SpendOptions,
} from './chain-options.ts';
import { type ParameterOptions, parameterRows, settingsOf } from './cluster-parameters.ts';
import { removalWarning, roleWarnings } from './cluster-roles.ts';
import { type ServerOptions, serversJson, serversOf } from './cluster-servers.ts';
import { pendingOf } from './cluster-show.ts';
import type { Io } from './io.ts';
import { addressOf } from './sui-address.ts';

export interface SetOptions extends SpendOptions, DeploymentOptions, ParameterOptions, ServerOptions {
  readonly removeSlasher?: string;
  readonly raiseThreshold?: string;
  readonly offerAdmin?: string;
  readonly acceptAdmin?: boolean;
  readonly acceptTreasury?: boolean;
}

/** Changes roles or servers at once, or announces new parameters. */
export async function setCluster(io: Io, options: SetOptions): Promise<void> {
  const changes = immediateChanges(options);
  const changesServers = options.server !== undefined || options.caHash !== undefined;
  if (changes.length + Number(changesServers) > 1)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      'each change that counts at once is a transaction of its own: give one of --remove-slasher, --raise-threshold, --offer-admin, --accept-admin, --accept-treasury, or --server and --ca-hash',
    );
  if (changes.length > 0 || changesServers) refuseParameters(options);
  const [change] = changes;
  const actor = await openClusterActor(io, options);
  if (changesServers) await changeServers(io, actor, options);
  else if (change) await changeAtOnce(io, actor, change, options);
  else await schedule(io, actor, options);
}

/** What `cluster set` announces, by the option's name. */
const PARAMETER_FLAGS: Readonly<Partial<Record<keyof SetOptions, string>>> = {
  minimumStake: '--minimum-stake',
  minimumTopUp: '--minimum-top-up',
  tiers: '--tiers',
  tierPermissions: '--tier-permissions',
  unbonding: '--unbonding',
  tokenEpochs: '--token-epochs',
  slasher: '--slasher',
  threshold: '--threshold',
  proposalLife: '--proposal-life',
  challenge: '--challenge',
  treasury: '--treasury',
};

/** Parameters are announced by a transaction of their own: beside a change that counts at once they would be dropped. */
function refuseParameters(options: SetOptions): void {
  const given = Object.entries(PARAMETER_FLAGS).flatMap(([name, flag]) =>
    options[name as keyof SetOptions] === undefined ? [] : [flag],
  );
  if (given.length === 0) return;
  throw new ConfigurationError(
    'DAAS_FLAGS_CONFLICT',
    `${given.join(', ')} would be announced, the other change counts at once: run \`cluster set\` once for each. Nothing was sent`,
    { details: { flags: given } },
  );
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

async function changeServers(io: Io, actor: ClusterActor, options: SetOptions): Promise<void> {
  const { state } = await actor.client.clusterState();
  const servers = serversOf(options, state);
  if (servers) await changeAtOnce(io, actor, { kind: 'set-servers', ...servers }, options);
}

/** Sends a change that counts at once. */
export async function changeAtOnce(
  io: Io,
  actor: ClusterActor,
  change: ClusterChange,
  options: SpendOptions,
): Promise<void> {
  const { kind } = change;
  const facts = change.kind === 'set-servers' ? serversJson(change) : factsOf(change);
  const plan = await operations.changeCluster.plan(actor, change);
  if (change.kind === 'remove-slasher') {
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

function factsOf({ kind: _kind, ...facts }: ClusterChange): Readonly<Record<string, unknown>> {
  return facts;
}

async function schedule(io: Io, actor: ClusterActor, options: SetOptions): Promise<void> {
  const snapshot = await actor.client.clusterState();
  const standing = parametersAt(snapshot.state, snapshot.nowMs);
  const settings = await settingsOf(io, options, standing);
  const { chainId, clusterId } = actor.client.deployment;
  const urls = actor.client.endpoints.all.map(({ url }) => url);
  if (!options.allowTinyTiers) assertTiers(settings, { chainId, urls });
  assertProposalLife(settings, { chainId, urls });
  if (isPublicNetwork(chainId, urls))
    for (const warning of roleWarnings(settings, snapshot.state.admin)) io.warn(warning);
  const plan = await operations.scheduleParameters.plan(actor, settings);
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

/** When a change that is announced now will count. */
function effect({ state, nowMs }: ClusterSnapshot): string {
  const delayMs = parametersAt(state, nowMs).unbondingMs + 86_400_000n;
  const after = `${formatDuration(delayMs)} after it has landed`;
  const earlierMs = earlierUnlockMs(state, nowMs);
  if (earlierMs <= BigInt(nowMs) + delayMs) return after;
  return `${after}, but not before ${formatTime(Number(earlierMs))}: until then stakes may unbond under an earlier, longer time`;
}
