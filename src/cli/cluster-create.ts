import { ConfigurationError } from '#base';
import {
  assertProposalLife,
  assertTiers,
  type ClusterSettings,
  defaultSettings,
  isPublicNetwork,
  operations,
  readPublication,
  writeDeployment,
} from '#chain';
import { agreedPin, fingerprintOf, formatPin } from '#proof';
import { carryOut } from './carry-out.ts';
import {
  canAsk,
  type DeploymentOptions,
  openSession,
  outsideOf,
  type SpendOptions,
} from './chain-options.ts';
import { type ParameterOptions, parameterRows, settingsOf } from './cluster-parameters.ts';
import { assertRolesSaid, killSwitchWarnings, roleWarnings } from './cluster-roles.ts';
import { type ServerOptions, serverRows, serversJson, serversOf } from './cluster-servers.ts';
import { type Io, table } from './io.ts';
import { addressOf } from './sui-address.ts';

/** The defaults; on a public network with tiers and a minimum that a faucet does not pay (`assertTiers`). */
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

export interface CreateOptions extends SpendOptions, DeploymentOptions, ParameterOptions, ServerOptions {
  readonly package?: string;
}

/** Creates the cluster, and writes the deployment file; with --unsigned `transaction send` writes it. */
export async function createCluster(io: Io, options: CreateOptions): Promise<void> {
  const publication = await publicationOf(options);
  const { urls, chainId, endpoints, wallet, gas } = await openSession(io, options);
  assertSameChain(publication, { chainId, urls }, options);
  const packageId = publication?.packageId ?? addressOf(options.package ?? '', '--package');
  const servers = serversOf(options);
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
  assertProposalLife(settings, { chainId, urls });
  // Before the cluster is made: a pin has to be at least as old as what it proves.
  const trust = await agreedPin(endpoints.all.map((endpoint) => ({ read: endpoint.call })));
  if (isPublic) for (const warning of killSwitchWarnings(settings)) io.warn(warning);
  if (mustBeSaid) for (const warning of roleWarnings(settings, wallet.address)) io.warn(warning);
  const plan = await operations.createCluster.plan(
    { endpoints, wallet, chainId, ...gas, ...outsideOf(options) },
    { packageId, settings, servers },
  );
  const created = await carryOut(io, plan, options, {
    question: 'Create the cluster?',
    facts: [
      ['network', `${urls.join(', ')} (chain ${chainId})`],
      ['package', packageId],
      ['admin', wallet.address],
      ['trust pin', `${formatPin(trust)}, fingerprint ${fingerprintOf(trust)}`],
      ...parameterRows(settings),
      ...serverRows(servers ?? NO_SERVERS).map(([name = '', value = '']): [string, string] => [name, value]),
    ],
    json: {
      chainId,
      packageId,
      admin: wallet.address,
      trust,
      parameters: settings,
      ...serversJson(servers ?? NO_SERVERS),
    },
  });
  if (!created) return;
  const deployment = { chainId, packageId, clusterId: created.clusterId, trust };
  await writeDeployment(options.deployment, deployment);
  io.step('written', options.deployment);
  io.result(
    {
      ...deployment,
      fingerprint: fingerprintOf(trust),
      digest: created.digest,
      deployment: options.deployment,
    },
    table([
      ['cluster', created.clusterId],
      ['package', packageId],
      ['chain', chainId],
      ['transaction', created.digest],
      ['trust pin', fingerprintOf(trust)],
      [
        '',
        `confirmed by ${urls.length === 1 ? 'one full node' : `${urls.length} full nodes`}: compare it with \`k3s-daas proof pin\` at another source`,
      ],
      ['next', 'k3s-daas gateway setup, then k3s-daas cluster gateway add'],
    ]),
  );
}

const NO_SERVERS = { servers: [], caHashes: [] };

async function publicationOf({ package: packageId, deployment }: CreateOptions) {
  if (packageId !== undefined) return undefined;
  const publication = await readPublication(deployment);
  if (publication.clusterId === undefined) return publication;
  throw new ConfigurationError(
    'DAAS_DEPLOYMENT_EXISTS',
    `${deployment} names the cluster ${publication.clusterId} already: name another file with --deployment and the package with --package`,
    { details: { file: deployment } },
  );
}

function assertSameChain(
  publication: { readonly chainId: string } | undefined,
  { chainId, urls }: { readonly chainId: string; readonly urls: readonly string[] },
  { deployment }: CreateOptions,
): void {
  if (!publication || publication.chainId === chainId) return;
  throw new ConfigurationError(
    'DAAS_CHAIN_ID_MISMATCH',
    `${urls.join(', ')} serves the chain ${chainId}, ${deployment} names ${publication.chainId}: correct --network or --deployment`,
    { details: { expected: publication.chainId, actual: chainId } },
  );
}
