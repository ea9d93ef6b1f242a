import { type Command, Option } from 'commander';
import { ConfigurationError, systemClock } from '#base';
import {
  type ClusterActor,
  createChainClient,
  type EndpointSettings,
  type Endpoints,
  formatSui,
  openNetwork,
  type Plan,
  parseSui,
  readDeployment,
  readWallet,
  type Unsigned,
  type Wallet,
  walletWithoutKey,
} from '#chain';
import { assignHeaders, readHeadersFile } from './headers-file.ts';
import { askLine, type Io, notConfirmed } from './io.ts';
import { addressOf } from './sui-address.ts';

/** Full nodes of the public networks, and of a local one. */
const NETWORKS: Readonly<Record<string, string>> = {
  mainnet: 'https://fullnode.mainnet.sui.io:443',
  testnet: 'https://fullnode.testnet.sui.io:443',
  devnet: 'https://fullnode.devnet.sui.io:443',
  localnet: 'http://127.0.0.1:9000',
};

export interface NetworkOptions {
  readonly network?: string;
  readonly endpoint?: string[];
  readonly allowInsecure?: boolean;
  readonly headersFile?: string;
}
/** Of the commands whose transactions can be signed elsewhere. */
export interface UnsignedOptions {
  readonly unsigned?: string;
  readonly sender?: string;
  readonly gasOwner?: string;
  readonly moreEpochs?: string;
}
export interface SpendOptions extends NetworkOptions, UnsignedOptions {
  readonly keyFile?: string;
  readonly wallet?: string;
  readonly gasBudget?: string;
  readonly gasPrice?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}
export interface DeploymentOptions {
  readonly deployment: string;
}

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

/** Which full nodes are asked and how, and `--json`. */
export function withNetwork(command: Command): Command {
  return command
    .addOption(new Option('--network <name>', 'the Sui network').choices(Object.keys(NETWORKS)))
    .option('--endpoint <url>', 'a Sui full node, instead of --network; may be given several times', collect)
    .option('--allow-insecure', 'allow an http:// endpoint on another machine')
    .option(
      '--headers-file <file>',
      'a file (chmod 600) with headers for the endpoint, such as an API key: one `Name: value` a line. With several endpoints, write [URL] above the headers of each',
    )
    .option('--json', 'print one JSON object and nothing else');
}

/** Options of every command that signs. The key comes from a file, because every user of the machine can read command lines. */
export function withSpending(command: Command): Command {
  return withNetwork(command)
    .option(
      '--key-file <file>',
      'file with the private key that signs: suiprivkey…, 32 bytes in hex or base64, or a sui.keystore',
    )
    .option('--wallet <address>', 'the address of that key; selects one key of a keystore')
    .option('--gas-budget <amount>', 'the most gas to pay (default: a fifth more than the simulation used)')
    .option(
      '--gas-price <mist>',
      'MIST for a unit of gas; a higher price than the reference price is executed sooner',
    )
    .option('--yes', 'send without asking')
    .option('--dry-run', 'show the effect and the cost, send nothing');
}

export function withDeployment(command: Command): Command {
  return command.option(
    '--deployment <file>',
    'file with chain id, package id and cluster id; `cluster create` writes it',
    'deployment.json',
  );
}

/** URLs of full nodes; asked for at a terminal when they are missing. */
async function endpointUrls(io: Io, options: NetworkOptions): Promise<string[]> {
  if (options.endpoint) return options.endpoint;
  const name =
    options.network ??
    (await ask(io, 'Network (mainnet, testnet, devnet, localnet) or URL', '--network (or --endpoint)'));
  return [NETWORKS[name] ?? name];
}

/** The full nodes of a command, each with its headers, and how they are reached. */
export async function accessOf(io: Io, options: NetworkOptions) {
  const { allowInsecure = false, headersFile } = options;
  const urls = await endpointUrls(io, options);
  const addresses: EndpointSettings[] =
    headersFile === undefined
      ? urls.map((url) => ({ url }))
      : assignHeaders(urls, await readHeadersFile(headersFile));
  return { urls, addresses, access: { clock: systemClock, allowInsecure } };
}

export async function openWalletOf(io: Io, options: SpendOptions): Promise<Wallet> {
  judgeUnsignedFlags(options);
  const { unsigned, sender } = options;
  if (unsigned !== undefined && sender !== undefined) return walletWithoutKey(addressOf(sender, '--sender'));
  const flag = unsigned === undefined ? '--key-file' : '--sender (or --key-file)';
  const file = options.keyFile ?? (await ask(io, 'File with the private key', flag));
  return readWallet(file, options.wallet);
}

export interface Session {
  readonly urls: readonly string[];
  readonly chainId: string;
  readonly endpoints: Endpoints;
  readonly wallet: Wallet;
  readonly gas: GasOffer;
}

/** Network and key of a command that needs no cluster. */
export async function openSession(io: Io, options: SpendOptions): Promise<Session> {
  const { urls, addresses, access } = await accessOf(io, options);
  const wallet = await openWalletOf(io, options);
  const { endpoints, chainId } = await openNetwork(addresses, access);
  return { urls, chainId, endpoints, wallet, gas: gasOf(options) };
}

/** Throws `DAAS_FLAG_MISSING` for flags that mean nothing without --unsigned. */
export function judgeUnsignedFlags({ unsigned, sender, gasOwner }: UnsignedOptions): void {
  if (unsigned !== undefined) return;
  const alone = sender !== undefined ? '--sender' : gasOwner !== undefined ? '--gas-owner' : undefined;
  if (alone === undefined) return;
  throw new ConfigurationError(
    'DAAS_FLAG_MISSING',
    `${alone} is for a transaction that is signed elsewhere: add --unsigned FILE, or sign with --key-file`,
    { details: { flag: '--unsigned' } },
  );
}

/** Who else pays for what is signed elsewhere, and for how long it can be sent. */
export function outsideOf({ unsigned, gasOwner, moreEpochs = '1' }: UnsignedOptions): Unsigned {
  if (unsigned === undefined) return {};
  return {
    gasOwner: gasOwner === undefined ? undefined : addressOf(gasOwner, '--gas-owner'),
    moreEpochs: parseCount(moreEpochs, '--more-epochs'),
  };
}

/** The gas budget and price of the flags. */
export interface GasOffer {
  readonly budgetMist?: bigint;
  readonly gasPriceMist?: bigint;
}

export function gasOf({ gasBudget, gasPrice }: SpendOptions): GasOffer {
  return {
    ...(gasBudget !== undefined && { budgetMist: parseSui(gasBudget, '--gas-budget') }),
    ...(gasPrice !== undefined && { gasPriceMist: parseCount(gasPrice, '--gas-price') }),
  };
}

/** The cluster of the deployment file, read through the given network. */
export async function openClusterReader(
  io: Io,
  options: NetworkOptions & DeploymentOptions,
  clusterId?: string,
) {
  const deployment = await readDeployment(options.deployment);
  const { addresses, access } = await accessOf(io, options);
  return createChainClient({
    ...access,
    endpoints: addresses,
    deployment: clusterId === undefined ? deployment : { ...deployment, clusterId },
  });
}

/** With `clusterId`, another cluster of the package than the deployment file names. */
export async function openClusterActor(
  io: Io,
  options: SpendOptions & DeploymentOptions,
  clusterId?: string,
): Promise<ClusterActor> {
  const client = await openClusterReader(io, options, clusterId);
  const wallet = await openWalletOf(io, options);
  return { client, wallet, ...gasOf(options), ...outsideOf(options) };
}

/** Whether the command may prompt: on a terminal, without `--json` and `--yes`. */
export function canAsk(io: Io, { yes = false }: SpendOptions): boolean {
  return process.stdin.isTTY && !io.isJson && !yes;
}

/** Prompts for a line of text; without a terminal, throws an error that names the flag. */
export async function ask(io: Io, question: string, flag: string, fallback?: string): Promise<string> {
  if (!process.stdin.isTTY || io.isJson) {
    if (fallback !== undefined) return fallback;
    throw new ConfigurationError(
      'DAAS_FLAG_MISSING',
      `${flag} is missing, and this is not a terminal, so it cannot be asked for. Pass ${flag}`,
      {
        details: { flag },
      },
    );
  }
  const hint = fallback === undefined ? '' : ` [${fallback}]`;
  const answer = await askLine(`${question}${hint}: `);
  if (answer !== '') return answer;
  return fallback ?? ask(io, question, flag, fallback);
}

export async function confirm(io: Io, question: string, { yes }: SpendOptions): Promise<void> {
  if (yes || (await io.confirm(question))) return;
  throw notConfirmed('nothing was sent: the answer was no');
}

export function costLines(plan: Pick<Plan<unknown>, 'cost' | 'budgetMist'>): Array<[string, string]> {
  const { totalMist } = plan.cost;
  // Deleting objects refunds their storage fee, which can be more than the call costs.
  const about =
    totalMist < 0n ? `none, ${formatSui(-totalMist)} is refunded` : `about ${formatSui(totalMist)}`;
  return [['gas', `${about}; at most ${formatSui(plan.budgetMist)}`]];
}

export function costJson(plan: Pick<Plan<unknown>, 'cost' | 'budgetMist'>) {
  return { gasMist: plan.cost.totalMist, gasBudgetMist: plan.budgetMist };
}

const UNITS: Readonly<Record<string, bigint>> = {
  ms: 1n,
  s: 1_000n,
  m: 60_000n,
  h: 3_600_000n,
  d: 86_400_000n,
};

/** Milliseconds of `90s`, `15m`, `1h`, `7d` or `500ms`. Throws `DAAS_DURATION_INVALID` (exit 78). */
export function parseDuration(text: string, origin: string): bigint {
  const match = /^(\d{1,15})(ms|s|m|h|d)$/.exec(text.trim());
  const unit = UNITS[match?.[2] ?? ''];
  if (!match?.[1] || unit === undefined)
    throw new ConfigurationError(
      'DAAS_DURATION_INVALID',
      `${origin}: '${text}' is not a duration. Write a whole number and a unit, such as 90s, 15m, 1h or 7d`,
      { details: { origin, value: text } },
    );
  return BigInt(match[1]) * unit;
}

/** The largest unit that leaves no rest: `7d`, `90s`. */
export function formatDuration(ms: number | bigint): string {
  const value = BigInt(ms);
  const [unit, size] =
    Object.entries(UNITS)
      .reverse()
      .find(([, milliseconds]) => value % milliseconds === 0n) ?? (['ms', 1n] as const);
  return `${value / size}${unit}`;
}

/** Bytes of hex digits, with or without 0x. Throws `DAAS_HEX_INVALID` (exit 78). */
export function parseHex(text: string, origin: string): Uint8Array {
  const digits = text.replace(/^0x/, '');
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(digits))
    throw new ConfigurationError('DAAS_HEX_INVALID', `${origin}: '${text}' is not hexadecimal`, {
      details: { origin, value: text },
    });
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

/** A whole number within bounds. Throws `DAAS_NUMBER_INVALID` (exit 78). */
export function parseCount(text: string, origin: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw new ConfigurationError('DAAS_NUMBER_INVALID', `${origin}: '${text}' is not a whole number`, {
      details: { origin, value: text },
    });
  return BigInt(text);
}

/** `2026-11-22 14:03:07Z` */
export function formatTime(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z');
}
