import { Command } from 'commander';
import { ConfigurationError, DaasError } from '#base';
import {
  type CollateralDescription,
  describeCollateral,
  fetchCollateral,
  formatCollateral,
  PRODUCTS,
  parseCollateral,
  parseEvidence,
  type Refreshed,
  refreshCollateral,
  timeText,
  VENDOR_SERVICES,
} from '#tee';
import { type Io, table } from './io.ts';
import { readTeeFile, readTrustedTeeFile, writeTeeFile } from './tee-files.ts';

/** `k3s-daas tee collateral`: what vendors publish, as files. */
export function teeCollateralCommand(io: Io): Command {
  const command = new Command('collateral').description(
    'What vendors publish about machines: certificates, revocation lists, TCB info.',
  );
  command
    .command('show <file>')
    .description('List the documents of a collateral file with their dates.')
    .option('--json', 'print one JSON object and nothing else')
    .action((file: string) => showCollateral(io, file));
  command
    .command('fetch <evidence>')
    .description('Fetch the collateral for evidence from its vendor, and write it to a file.')
    .requiredOption('--out <file>', 'the collateral file to write')
    .option('--kind <kind>', 'the kind of the evidence, where the file does not show it')
    .option('--product <line>', `for SEV-SNP reports of version 2: ${PRODUCTS.join(', ')}`)
    .option('--amd <url>', 'AMD’s key service, or a mirror', VENDOR_SERVICES.amd)
    .option('--intel <url>', 'Intel’s provisioning service, or a mirror', VENDOR_SERVICES.intel)
    .option('--intel-root-crl <url>', 'the list of Intel’s root', VENDOR_SERVICES.intelRootCrl)
    .option('--json', 'print one JSON object and nothing else')
    .action((file: string, options: FetchCommandOptions) => fetchFor(io, file, options));
  command
    .command('refresh <file>')
    .description(
      'Fetch again what ends soon in a collateral file, each document from where it came. For a timer: it exits with 75 when a document could not be fetched, and leaves it as it was.',
    )
    .option('--within <time>', 'how soon, such as 12h', '7d')
    .option('--json', 'print one JSON object and nothing else')
    .action((file: string, options: { readonly within: string }) => refresh(io, file, options));
  return command;
}

interface FetchCommandOptions {
  readonly out: string;
  readonly kind?: string;
  readonly product?: string;
  readonly amd: string;
  readonly intel: string;
  readonly intelRootCrl: string;
}

async function showCollateral(io: Io, file: string): Promise<void> {
  const items = parseCollateral(await readTeeFile(file, 'the collateral'), file);
  const described = items.map(describeCollateral);
  io.result({ file, items: described.map(collateralJson) }, collateralTable(described));
}

async function fetchFor(io: Io, file: string, options: FetchCommandOptions): Promise<void> {
  const evidence = parseEvidence(await readTeeFile(file, 'the evidence'), file, options.kind);
  const product = PRODUCTS.find((line) => line === options.product);
  if (options.product !== undefined && !product) {
    throw new ConfigurationError(
      'DAAS_COMMAND_LINE_INVALID',
      `unknown product line '${options.product}' (--product): use ${PRODUCTS.join(', ')}`,
    );
  }
  const items = await fetchCollateral(evidence, {
    services: options,
    nowMs: Date.now(),
    signal: AbortSignal.timeout(60_000),
    product,
  });
  await writeTeeFile(options.out, formatCollateral(items), 'the collateral');
  const described = items.map(describeCollateral);
  io.step(`wrote ${items.length} documents`, options.out);
  io.result({ file: options.out, items: described.map(collateralJson) }, collateralTable(described));
}

async function refresh(io: Io, file: string, { within }: { readonly within: string }): Promise<void> {
  const { parseDuration } = await import('./chain-options.ts');
  const withinMs = Number(parseDuration(within, '--within'));
  // Its addresses are asked from this machine: others must not be able to write it.
  const text = await readTrustedTeeFile(file, { what: 'the collateral', origin: 'tee collateral refresh' });
  const items = parseCollateral(Buffer.from(text), file);
  const refreshed = await refreshCollateral(items, {
    nowMs: Date.now(),
    signal: AbortSignal.timeout(60_000),
    withinMs,
  });
  if (refreshed.some(({ outcome }) => outcome === 'fetched')) {
    await writeTeeFile(file, formatCollateral(refreshed.map(({ item }) => item)), 'the collateral');
    io.step('wrote the collateral', file);
  }
  io.result({ file, items: refreshed.map(refreshedJson) }, refreshedTable(refreshed));
  expectNoFailure(refreshed);
}

function expectNoFailure(refreshed: readonly Refreshed[]): void {
  const failed = refreshed.filter(({ outcome }) => outcome === 'failed');
  if (failed.length === 0) return;
  throw new DaasError(
    'DAAS_TEE_COLLATERAL_UNREACHABLE',
    `${failed.length} of ${refreshed.length} documents could not be fetched again, and are as they were: ${failed.map(({ why }) => why).join('; ')}`,
    { isRetryable: true },
  );
}

const day = (ms: number | undefined) =>
  ms === undefined || !Number.isFinite(ms) ? '–' : timeText(ms).replace('.000Z', 'Z');

function collateralTable(items: readonly CollateralDescription[]): string {
  if (items.length === 0) return 'No collateral: evidence of this kind needs none.';
  return table([
    ['document', 'about', 'from', 'to', 'bytes', 'fetched'],
    ...items.map(({ name, subject, fromMs, toMs, bytes, fetchedAtMs }) => [
      name,
      subject,
      day(fromMs),
      day(toMs),
      String(bytes),
      day(fetchedAtMs),
    ]),
  ]);
}

function refreshedTable(refreshed: readonly Refreshed[]): string {
  return table([
    ['document', 'about', 'to', 'outcome', 'why'],
    ...refreshed.map(({ item, outcome, why }) => {
      const { name, subject, toMs } = describeCollateral(item);
      return [name, subject, day(toMs), outcome, why];
    }),
  ]);
}

function refreshedJson({ item, outcome, why }: Refreshed) {
  return { ...collateralJson(describeCollateral(item)), outcome, why };
}

function collateralJson({ fromMs, toMs, fetchedAtMs, ...rest }: CollateralDescription) {
  return { ...rest, fromMs: fromMs ?? null, toMs: toMs ?? null, fetchedAtMs: fetchedAtMs ?? null };
}
