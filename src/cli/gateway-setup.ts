import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigurationError, EXIT, type Secret } from '#base';
import { removeSetup, setupCluster, setupManifests, type TenantTerms } from '#cluster';
import { makeTrustedDirectory, replaceFile } from '#infrastructure';
import { authorizationInPlace, authorizerProblems } from './authorizer-proof.ts';
import {
  type GatewaySection,
  gatewaySection,
  hostNamesOf,
  keyFilesOf,
  publicUrlOf,
} from './gateway-config.ts';
import { ensureGatewayKeys, type GatewayKeys } from './gateway-keys.ts';
import { type Io, notConfirmed, table } from './io.ts';
import {
  differingFiles,
  placeOf,
  type ServerFile,
  type ServerProgram,
  serverFiles,
  serverProgram,
} from './server-files.ts';
import {
  printServerFiles,
  putServerFiles,
  refuseServerFiles,
  removeFromServer,
  supportedBy,
} from './server-setup.ts';
import { foreignVariableWarnings, loadGatewaySettings } from './settings.ts';

export interface SetupFlags {
  readonly config?: string;
  readonly adminKubeconfig: string;
  readonly ordinary?: readonly string[];
  readonly reserve?: readonly string[];
  readonly check?: boolean;
  readonly dryRun?: boolean;
  readonly print?: boolean;
  readonly remove?: boolean;
  readonly yes?: boolean;
  /** The files of this k3s server, too. */
  readonly serverFiles?: boolean;
  readonly k3sConfigDir: string;
  readonly k3sDataDir: string;
  readonly unitDir: string;
}

type SetupResult = Awaited<ReturnType<typeof setupCluster>>;
type ClusterOptions = Parameters<typeof setupCluster>[0];

interface SetupPlan {
  readonly cluster: SetupResult;
  readonly missingFiles: readonly string[];
  /** Files of this server that differ from what they are to be. */
  readonly serverFiles: readonly ServerFile[];
  /** What speaks against the authorizer being in force, as sentences. */
  readonly authorizerProblems: readonly string[];
}

/** `k3s-daas gateway setup`: shows what it would change, asks, and changes it. */
export async function setupGateway(io: Io, flags: SetupFlags): Promise<void> {
  refuseTwoTasks(flags);
  if (flags.print && !flags.serverFiles) return printManifests(io);
  if (flags.remove) return flags.serverFiles ? removeFromServer(io, flags) : removeFromCluster(io, flags);
  const settings = await loadGatewaySettings({ file: flags.config });
  for (const warning of foreignVariableWarnings(settings)) io.warn(warning);
  const config = gatewaySection(settings);
  refuseConflicts(config, flags);
  const place = placeOf(flags);
  if (flags.serverFiles) await refuseServerFiles(config, place);
  // Before anything is changed: others may be able to change this program.
  const program = flags.serverFiles ? await serverProgram(settings.file) : undefined;
  if (flags.print && program)
    return printServerFiles(io, await serverFiles({ config, place, program, support: 'full' }));
  const options: ClusterOptions = {
    kubeconfig: { path: flags.adminKubeconfig },
    ordinaryNames: flags.ordinary ?? [],
    reservedNames: flags.reserve ?? [],
    allowUnboundNames: config.allowUnboundNames,
    tenants: tenantTerms(config.tenants),
    stakedNodes: config.stakedNodes,
  };
  const plan = await planSetup({ config, options, flags, program });
  for (const shortcoming of plan.cluster.shortcomings) io.warn(shortcoming);
  for (const { subject, why } of plan.cluster.forgers)
    io.warn(
      `${subject} can forge the fingerprint of a certificate: ${why}. Take the right away, or trust it as an administrator`,
    );
  if (flags.check || flags.dryRun) return showPlan(io, plan, { isCheck: flags.check === true });
  if (plan.cluster.changes.length + plan.serverFiles.length > 0) {
    io.note(planText(plan));
    if (!flags.yes && !(await io.confirm(`Change the cluster ${config.server} like this?`)))
      throw notConfirmed('nothing was changed: the answer was no');
  }
  const keys = await ensureGatewayKeys(keyFilesOf(config.tls), hostNamesOf(config.listen.host));
  for (const file of keys.made) io.step('made a key', file);
  const done = await setupCluster(options);
  for (const change of done.changes) io.step(`${change.action} ${change.what}`, change.why);
  await writeKubeconfigs(io, config, done);
  if (program) await putServerFiles(io, { config, place, program, support: done.authorizerSupport });
  showResult(io, { config, keys, done, endpoint: settings.value.chain.endpoints[0] });
}

/** What the keeper of people's namespaces may do: its policy is no weaker than the configuration. */
function tenantTerms({ placement, podSecurity, roles, ended }: GatewaySection['tenants']): TenantTerms {
  const ownRoles = Object.values(roles).filter((role) => role !== null);
  return { placement, podSecurity, ownRoles, removesNamespaces: ended.remove };
}

function refuseTwoTasks({ print, remove, check, ordinary, reserve }: SetupFlags): void {
  const tasks = [
    print && '--print',
    remove && '--remove',
    check && '--check',
    ordinary && '--ordinary',
    reserve && '--reserve',
  ].filter((flag) => typeof flag === 'string');
  const isAlone = print || remove;
  if (isAlone && tasks.length > 1)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `${tasks.join(' and ')} are different tasks: pass one of them`,
    );
}

/** The manifests, as `setup` writes them; asks no cluster. */
function printManifests(io: Io): void {
  const manifests = setupManifests();
  io.result({ manifests }, manifests);
}

async function removeFromCluster(io: Io, flags: SetupFlags): Promise<void> {
  const kubeconfig = { path: flags.adminKubeconfig };
  const planned = await removeSetup({ kubeconfig, check: true });
  const plan = removalText(planned);
  const kept = planned.filter(({ action }) => action === 'keep');
  for (const { what, why } of kept) io.warn(`${what} stays: ${why}`);
  if (flags.dryRun || planned.length === kept.length) {
    io.result({ dryRun: flags.dryRun === true, changes: planned }, plan);
    return;
  }
  io.note(plan);
  io.warn(
    'Afterwards every kubelet certificate of the cluster, and every join credential, may make a Node under any name. Stop the gateway first.',
  );
  if (!flags.yes && !(await io.confirm('Remove all of this from the cluster?')))
    throw notConfirmed('nothing was removed: the answer was no');
  const changes = await removeSetup({ kubeconfig });
  for (const { action, what } of changes) if (action !== 'keep') io.step(action, what);
  const butFor = kept.length > 0 ? ', but for the state' : '';
  io.result(
    { dryRun: false, changes },
    `The cluster is as it was before setup${butFor}. Nodes and pods were not touched.`,
  );
}

function removalText(changes: Awaited<ReturnType<typeof removeSetup>>): string {
  if (changes.length === 0) return 'There is nothing of setup in this cluster.';
  return table([['ACTION', 'WHAT'], ...changes.map(({ action, what }) => [action, what])]);
}

function refuseConflicts(config: GatewaySection, flags: SetupFlags): void {
  if (config.kubeconfig === flags.adminKubeconfig)
    throw new ConfigurationError(
      'DAAS_GATEWAY_ADMIN_KUBECONFIG',
      `gateway.kubeconfig is the administrator's own: ${flags.adminKubeconfig}. Name another file; setup writes a kubeconfig with the gateway's least rights there`,
    );
  const twice = flags.ordinary?.find((name) => flags.reserve?.includes(name));
  if (twice !== undefined)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `--ordinary ${twice} lets a node of that name join, --reserve ${twice} lets none: pass one of them`,
    );
}

async function planSetup({
  config,
  options,
  flags,
  program,
}: {
  readonly config: GatewaySection;
  readonly options: ClusterOptions;
  readonly flags: SetupFlags;
  /** `undefined`: not this server's files. */
  readonly program: ServerProgram | undefined;
}): Promise<SetupPlan> {
  const { certFile, keyFile, signingKeyFile } = keyFilesOf(config.tls);
  const place = placeOf(flags);
  const isAsked = flags.check === true && config.authorizer.mode !== 'off';
  const cluster = await setupCluster({
    ...options,
    check: true,
    ...(isAsked && { authorizer: { file: await authorizationInPlace(place) } }),
  });
  const files = [certFile, keyFile, signingKeyFile, config.kubeconfig];
  return {
    cluster,
    missingFiles: await missingFiles(config.tenants.enabled ? [...files, config.tenants.kubeconfig] : files),
    serverFiles: program
      ? await differingFiles(await serverFiles({ config, place, program, support: supportedBy(cluster) }))
      : [],
    authorizerProblems: isAsked ? authorizerProblems(cluster.servers, config.authorizer.mode) : [],
  };
}

/** `--check` exits with 1 when something is missing. */
function showPlan(io: Io, plan: SetupPlan, { isCheck }: { readonly isCheck: boolean }): void {
  const { cluster, missingFiles: missing, authorizerProblems: problems } = plan;
  const count = cluster.changes.length + missing.length + plan.serverFiles.length + problems.length;
  if (isCheck && count > 0) process.exitCode = EXIT.unexpected;
  for (const problem of problems) io.warn(problem);
  io.result(
    {
      dryRun: true,
      kubernetesVersion: cluster.kubernetesVersion,
      changes: cluster.changes,
      missingFiles: missing,
      serverFiles: plan.serverFiles.map(({ path }) => path),
      servers: cluster.servers,
      forgers: cluster.forgers,
      authorizerProblems: problems,
    },
    `${planText(plan)}\nNothing was changed: this was a dry run.`,
  );
}

async function writeKubeconfigs(io: Io, config: GatewaySection, done: SetupResult): Promise<void> {
  const { tenants } = config;
  if (done.kubeconfig) {
    await writeKubeconfig(config.kubeconfig, 'gateway.kubeconfig', done.kubeconfig);
    io.step("wrote the gateway's kubeconfig", config.kubeconfig);
  }
  if (!tenants.enabled || !done.keeperKubeconfig) return;
  await writeKubeconfig(tenants.kubeconfig, 'gateway.tenants.kubeconfig', done.keeperKubeconfig);
  io.step('wrote the kubeconfig for the namespaces of people', tenants.kubeconfig);
}

async function writeKubeconfig(path: string, origin: string, text: Secret): Promise<void> {
  makeTrustedDirectory(dirname(path), { what: 'the directory of the kubeconfig', origin });
  await replaceFile(path, text.reveal(), 0o600);
}

function showResult(
  io: Io,
  {
    config,
    keys,
    done,
    endpoint,
  }: {
    readonly config: GatewaySection;
    readonly keys: GatewayKeys;
    readonly done: SetupResult;
    readonly endpoint: string | undefined;
  },
): void {
  const tlsPin = Buffer.from(keys.tlsPin).toString('hex');
  const signingKey = Buffer.from(keys.signingKey).toString('hex');
  io.result(
    {
      kubernetesVersion: done.kubernetesVersion,
      changes: done.changes,
      made: keys.made,
      kubeconfig: config.kubeconfig,
      tlsPin,
      signingKey,
    },
    [
      "The cluster is ready. Next, register the gateway on chain once, with the key of the cluster's admin.",
      'Then put the id that this command prints into gateway.gatewayId:',
      `  k3s-daas cluster gateway add --url ${publicUrlOf(config)} --tls-pin ${tlsPin} --signing-key ${signingKey} --endpoint ${endpoint}`,
    ].join('\n'),
  );
}

async function missingFiles(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return paths.filter((_, index) => !found[index]);
}

function planText({
  cluster: { changes, servers },
  missingFiles: missing,
  serverFiles: files,
}: SetupPlan): string {
  const asked = servers.map(({ server, detail }) => `API server ${server}: ${detail}`);
  if (changes.length + missing.length + files.length === 0)
    return ['Everything is in place.', ...asked].join('\n');
  const rows = table([
    ['ACTION', 'WHAT', 'WHY'],
    ...changes.map(({ action, what, why }) => [action, what, why]),
    ...missing.map((path) => ['make', path, 'the gateway needs it']),
    ...files.map(({ path, why }) => ['write', path, why]),
  ]);
  return [rows, ...asked].join('\n');
}
