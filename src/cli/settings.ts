import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { AgentSettings } from '#agent';
import { ConfigurationError, httpsOriginProblem, Secret, trustedServerProblem } from '#base';
import { isNodeId } from '#domain';
import type { GatewayConfig } from '#gateway-config';
import {
  evidenceSettings,
  type FlagValue,
  loadSettings,
  type SettingAlias,
  type Settings,
} from '#infrastructure';
import { chain, DurationMs, MistAmount, ObjectId } from './chain-section.ts';
import { namedFile, searchPlaces } from './configuration-file.ts';
import { describeK3sFile, isServiceLink } from './foreign-settings.ts';
import { unusedAliasWarnings, withPluginAliases } from './plugin-settings.ts';

const port = z.int().min(0).max(65_535);
const isHttpsOrigin = (text: string, context: z.RefinementCtx) => {
  const message = httpsOriginProblem(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
};
const isTrustedServer = (text: string, context: z.RefinementCtx) => {
  const message = trustedServerProblem(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
};

const wallet = z
  .strictObject({
    keyFile: z.string().min(1).optional().meta({
      description:
        'a file (0600) with the key of the wallet that owns the stake: suiprivkey1…, or a sui.keystore',
    }),
    key: z
      .string()
      .min(1)
      .transform((key) => new Secret(key))
      .optional()
      .meta({ description: 'the key itself, instead of keyFile', secret: true }),
    address: ObjectId.optional().meta({ description: 'the address that the key must have' }),
  })
  .prefault({});

const Plugins = z.array(
  z.strictObject({
    use: z.string().min(1),
    integrity: z.string().min(1).optional(),
    config: z.record(z.string(), z.unknown()).optional(),
    onFailure: z.enum(['abort', 'isolate']).optional(),
  }),
);

const common = {
  nodeId: z
    .string()
    .refine(
      isNodeId,
      'expected one lower-case DNS label: a-z, 0-9 and hyphen, at most 63 characters, no dots',
    )
    .optional()
    .meta({ description: 'the name of the Kubernetes Node; default: the host name, if it is such a label' }),
  stateDir: z
    .string()
    .startsWith('/', 'expected an absolute path')
    .default('/var/lib/k3s-daas')
    .meta({ description: 'journal, node key, lock and latch; made with mode 0700' }),
  chain,
  wallet,
  stake: z
    .strictObject({
      amountMist: MistAmount.optional().meta({
        description:
          'amount to lock when this node has no stake yet; without it nothing is staked (stakeMist of the plugin staking)',
      }),
      minimumMist: MistAmount.optional().meta({
        description:
          'a stake below this is refused, whatever the minimum of the cluster (minimumMist of the plugin staking)',
      }),
      acceptTerms: z
        .string()
        .regex(/^(?:any|[0-9a-f]{32})$/, 'expected the 32 hex digits of `k3s-daas cluster show`, or any')
        .optional()
        .meta({ description: 'fingerprint of the terms to stake on (`k3s-daas cluster show`); any: all' }),
    })
    .prefault({}),
  join: z
    .strictObject({
      gatewayUrl: z.string().superRefine(isHttpsOrigin).optional().meta({
        description:
          'the gateway to ask first; must be one of the cluster on chain (gatewayUrl of the plugin registration)',
      }),
      deadlineMs: DurationMs.min(1_000).default(600_000).meta({
        description: 'from the first question to the chain until the Node is Ready; then exit code 75',
      }),
      trustServer: z.string().superRefine(isTrustedServer).optional().meta({
        description:
          'the Kubernetes server and its CA hash, https://host:6443#HASH, where the cluster names none on chain',
      }),
      patienceMs: DurationMs.default(20_000).meta({
        description:
          'a node that joined before starts on the certificates it has when chain or gateway are silent for so long',
      }),
    })
    .prefault({}),
  agent: AgentSettings.prefault({}),
  containerRuntime: z
    .string()
    .regex(
      /^(?:containerd|docker|(?:unix:\/\/)?\/.+)$/,
      'expected containerd, docker, or the socket of a runtime',
    )
    .default('containerd')
    .meta({ description: 'containerd (the one of k3s), docker, or the socket of a runtime' }),
  drainDeadlineMs: DurationMs.default(60_000).meta({ description: 'how long stopping may take' }),
  health: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1').meta({ description: 'where /livez and /readyz listen' }),
      port: port.default(8445).meta({ description: 'plain HTTP; 0 takes any free port' }),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      format: z
        .enum(['auto', 'json', 'text'])
        .default('auto')
        .meta({ description: 'auto: text on a terminal, one JSON object a line elsewhere' }),
    })
    .prefault({}),
  mockMode: z.boolean().default(false).meta({
    description:
      'the preset for the dev chain of this machine (`k3s-daas devnet`); refused with any other chain',
  }),
  teeMode: z.enum(['none', 'dev', 'production']).default('none').meta({
    description:
      'production: a worker registers only with a gateway whose evidence attestation.policyFile accepts; dev: the same, with the roots of a stand-in; none: no evidence is asked for',
  }),
  attestation: z
    .strictObject({
      policyFile: z
        .string()
        .min(1)
        .optional()
        .meta({ description: 'what evidence a gateway has to show; others must not be able to write it' }),
      maxAgeMs: DurationMs.default(3_600_000).meta({
        description:
          'how long a gateway counts after its evidence was judged; it is asked anew after half of that',
      }),
      evidence: evidenceSettings({
        array: z.array,
        enum: z.enum,
        int: z.int,
        strictObject: z.strictObject,
        string: z.string,
      }).prefault({}),
    })
    .prefault({}),
  nodeKey: z
    .strictObject({
      sealing: z.enum(['none', 'tpm']).default('none').meta({
        description:
          'tpm: the node key is kept so that the TPM of this machine alone opens it (needs tpm2-tools); none: in clear text, mode 0600',
      }),
      pcrs: z.array(z.int().min(0).max(23)).default([7]).meta({
        description:
          'for tpm: registers that must have the values of now for the key to open; []: any boot of this machine',
      }),
    })
    .prefault({}),
  plugins: Plugins.default([
    { use: 'staking' },
    { use: 'registration' },
    { use: 'heartbeat' },
    { use: 'slashing' },
  ]).meta({ description: 'the plugins of the worker’s host: docs/plugins.md' }),
};

/** The configuration as the worker's host reads it; the gateway's section is not checked. */
export const WorkerSettings = z.strictObject({
  ...common,
  gateway: z.record(z.string(), z.unknown()).optional().meta({ description: 'the gateway’s own section' }),
});
export type WorkerSettings = z.infer<typeof WorkerSettings>;

/** The configuration as the gateway reads it. */
export type GatewaySettings = Omit<WorkerSettings, 'gateway'> & { readonly gateway: GatewayConfig };

/** The configuration with the gateway's section checked too. */
export function settingsSchema<G extends z.ZodType>(gateway: G) {
  return z.strictObject({ ...common, gateway });
}

export interface SettingSources {
  /** `--config` */
  readonly file?: string | undefined;
  /** Default: that of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly flags?: readonly FlagValue[];
  /** Default: /etc/k3s-daas, for others than root after the working directory. */
  readonly directories?: readonly string[];
}

const zeroAddress = /^0x0*$/;
/** The first example configuration has the zero address in mock mode: it counts as not set. */
const unlessZero = (id: unknown) => (typeof id === 'string' && zeroAddress.test(id) ? undefined : id);
const noTees = new Set(['none', 'mock', 'disabled', 'false']);
const standInTees = new Set(['simulation', 'development', 'dev']);

function teeModeOf(mode: unknown): unknown {
  const text = String(mode).toLowerCase();
  if (noTees.has(text)) return 'none';
  return standInTees.has(text) ? 'dev' : mode;
}

/** Setting names of the first specification, accepted as aliases. */
export const seedAliases: readonly SettingAlias[] = [
  { kind: 'key', from: 'node_id', to: 'nodeId' },
  { kind: 'key', from: 'sui_wallet_address', to: 'wallet.address' },
  { kind: 'key', from: 'sui_private_key', to: 'wallet.key' },
  {
    kind: 'key',
    from: 'sui_rpc_endpoint',
    to: 'chain.endpoints',
    convert: (url) => (typeof url === 'string' ? [url] : url),
  },
  { kind: 'key', from: 'stake_amount', to: 'stake.amountMist' },
  { kind: 'key', from: 'contract_address', to: 'chain.packageId', convert: unlessZero },
  { kind: 'key', from: 'nautilus_endpoint', to: 'join.gatewayUrl' },
  { kind: 'key', from: 'container_runtime', to: 'containerRuntime' },
  { kind: 'key', from: 'min_stake_amount', to: 'stake.minimumMist' },
  { kind: 'environment', from: 'MOCK_MODE', to: 'mockMode' },
  { kind: 'environment', from: 'CONTRACT_ADDRESS', to: 'chain.packageId', convert: unlessZero },
  { kind: 'environment', from: 'SUI_RPC_ENDPOINT', to: 'chain.endpoints' },
  {
    kind: 'environment',
    from: 'TEE_MODE',
    to: 'teeMode',
    convert: teeModeOf,
  },
];

/** The default address of the dev chain. */
const mockEndpoint = 'http://127.0.0.1:9000';

/** Reads and checks the configuration of a worker; one error lists every problem (`DAAS_CONFIG_INVALID`, exit 78). */
export function loadWorkerSettings(sources: SettingSources = {}): Promise<Settings<WorkerSettings>> {
  return load(WorkerSettings, sources, ['K3S_DAAS_GATEWAY_*']);
}

/** As `loadWorkerSettings`, and the section `gateway` is required and checked. */
export async function loadGatewaySettings(sources: SettingSources = {}): Promise<Settings<GatewaySettings>> {
  // Loaded when asked for, and without what the gateway is made of.
  const { GatewayConfig } = await import('#gateway-config');
  return load(settingsSchema(GatewayConfig.prefault({} as never)), sources, []);
}

async function load<T extends Loaded['value']>(
  schema: z.ZodType<T>,
  { file, env = process.env, flags, directories }: SettingSources,
  reserved: readonly string[],
): Promise<Settings<T>> {
  const settings = await loadSettings({
    schema,
    environmentPrefix: 'K3S_DAAS_',
    environment: env,
    reserved: ['K3S_DAAS_CONFIG', 'K3S_DAAS_TEST_*', ...reserved],
    aliases: seedAliases,
    ...(flags && { flags }),
    file: namedFile(file, env),
    ...searchPlaces(directories),
    isForeignVariable: isServiceLink,
    describeForeignFile: describeK3sFile,
    defaults: (given) => ({
      ...(isNodeId(hostname()) && { nodeId: { value: hostname(), origin: 'default (host name)' } }),
      ...(given('mockMode') === true && {
        'chain.endpoints': { value: [mockEndpoint], origin: 'default (mock mode)' },
        'stake.acceptTerms': { value: 'any', origin: 'default (mock mode)' },
      }),
    }),
  });
  return withPluginAliases(settings);
}

export type Loaded = Settings<Omit<WorkerSettings, 'gateway'>>;

/** The node id. Throws when neither the setting nor the host name is one. */
export function nodeIdOf({ value: { nodeId } }: Loaded): string {
  if (nodeId !== undefined) return nodeId;
  throw new ConfigurationError(
    'DAAS_NODE_ID_MISSING',
    `the host name '${hostname()}' is not a node id (one lower-case DNS label, no dots). Set nodeId, K3S_DAAS_NODE_ID or --node-id`,
  );
}

/** Flags of `k3s agent` that follow from our settings; the user's own come from `agent.args` and the command line. */
export function runtimeArguments({ value: { containerRuntime } }: Loaded): readonly string[] {
  if (containerRuntime === 'containerd') return [];
  if (containerRuntime === 'docker') return ['--docker'];
  const socket = containerRuntime.startsWith('unix://') ? containerRuntime : `unix://${containerRuntime}`;
  return [`--container-runtime-endpoint=${socket}`];
}

/** Variables of Kubernetes that look like settings. A warning names them, because one may be a setting by intent. */
export function foreignVariableWarnings({
  foreignVariables: names,
}: Pick<Loaded, 'foreignVariables'>): readonly string[] {
  if (names.length === 0) return [];
  return [
    `${names.join(', ')} (environment): not read as settings, Kubernetes sets such variables for a Service of this name; enableServiceLinks: false in the pod's spec leaves them out`,
  ];
}

/** Warnings about the configuration, shown at start. */
export async function settingWarnings(settings: Loaded): Promise<readonly string[]> {
  const warnings: string[] = [...foreignVariableWarnings(settings), ...unusedAliasWarnings(settings)];
  const isKeyInFile = rowOf(settings, 'wallet.key').origin.startsWith('file ');
  if (isKeyInFile && settings.file !== undefined && ((await stat(settings.file)).mode & 0o077) !== 0)
    warnings.push(
      `the wallet key stands in ${settings.file}, which others can read: chmod 600 it, or use wallet.keyFile`,
    );
  const { containerRuntime, agent } = settings.value;
  if (containerRuntime === 'docker' || agent.args.some((flag) => /^--docker(=(?!false)|$)/.test(flag)))
    warnings.push(
      "with Docker the containers of this node cannot be told from others of the machine: a slash stops k3s, and they run on until you stop them; with k3s' own containerd they are stopped too",
    );
  return warnings;
}

/** A path of the configuration: relative to the file it stands in, else to the working directory. */
export function pathOf(settings: Settings<unknown>, name: string): string | undefined {
  const { value, origin } = rowOf(settings, name);
  if (typeof value !== 'string') return undefined;
  return origin.startsWith('file ') ? resolve(settings.directory, value) : resolve(value);
}

export function rowOf(settings: Settings<unknown>, name: string) {
  const row = settings.rows.find((other) => other.name === name);
  if (!row) throw new Error(`there is not a setting '${name}'`);
  return row;
}
