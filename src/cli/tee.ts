import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { ConfigurationError, DaasError, EXIT, messageOf } from '#base';
import { readBounded, readTrustedText } from '#infrastructure';
import {
  type CollateralDescription,
  type CollateralItem,
  describeCollateral,
  type Evidence,
  fetchCollateral,
  formatCollateral,
  look,
  PRODUCTS,
  parseCollateral,
  parseEvidence,
  parsePolicy,
  runCommand,
  suggestPolicy,
  VENDOR_SERVICES,
  verify,
} from '#tee';
import { type Io, table } from './io.ts';
import { verdictJson, verdictText } from './tee-verdict.ts';

/** `k3s-daas tee`: evidence of a machine, looked at and judged offline. */
export function teeCommand(io: Io): Command {
  const command = new Command('tee').description(
    'Evidence of trusted execution environments: what it shows, and whether it meets a policy.',
  );
  withEvidence(command.command('show <file>'))
    .description('Show what evidence contains, and what is wrong with it whatever a policy says.')
    .action((file: string, options: EvidenceOptions) => show(io, file, options));
  withEvidence(command.command('verify <file>'))
    .description('Judge evidence by a policy. No network is used.')
    .requiredOption('--policy <file>', 'the policy; `tee policy` writes one to begin with')
    .option('--report-data <hex>', 'what the evidence must be bound to')
    .action((file: string, options: VerifyOptions) => verifyFile(io, file, options));
  withEvidence(command.command('policy <file>'))
    .description('Write a policy that accepts exactly what evidence shows, to standard output.')
    .action((file: string, options: EvidenceOptions) => policy(io, file, options));
  const collateral = command
    .command('collateral')
    .description('What vendors publish about machines: certificates, revocation lists, TCB info.');
  collateral
    .command('show <file>')
    .description('List the documents of a collateral file with their dates.')
    .action((file: string) => showCollateral(io, file));
  collateral
    .command('fetch <evidence>')
    .description('Fetch the collateral for evidence from its vendor, and write it to a file.')
    .requiredOption('--out <file>', 'the collateral file to write')
    .option('--kind <kind>', 'the kind of the evidence, where the file does not show it')
    .option('--product <line>', `for SEV-SNP reports of version 2: ${PRODUCTS.join(', ')}`)
    .option('--amd <url>', 'AMD’s key service, or a mirror', VENDOR_SERVICES.amd)
    .option('--intel <url>', 'Intel’s provisioning service, or a mirror', VENDOR_SERVICES.intel)
    .option('--intel-root-crl <url>', 'the list of Intel’s root', VENDOR_SERVICES.intelRootCrl)
    .action((file: string, options: FetchCommandOptions) => fetchFor(io, file, options));
  return command;
}

interface EvidenceOptions {
  readonly kind?: string;
  readonly format?: string;
  readonly collateral: readonly string[];
  readonly at?: string;
}
interface VerifyOptions extends EvidenceOptions {
  readonly policy: string;
  readonly reportData?: string;
}
interface FetchCommandOptions {
  readonly out: string;
  readonly kind?: string;
  readonly product?: string;
  readonly amd: string;
  readonly intel: string;
  readonly intelRootCrl: string;
}

function withEvidence(command: Command): Command {
  return command
    .option('--kind <kind>', 'the kind of the evidence, where the file does not show it')
    .option('--format <name>', 'for the kind `command`: the format by which the policy finds its program')
    .option(
      '--collateral <file>',
      'a collateral file beside what the evidence file holds; may be given several times',
      (file: string, files: readonly string[]) => [...files, file],
      [] as readonly string[],
    )
    .option('--at <time>', 'judge as of this time, such as 2026-02-03T11:00:00Z (default: now)')
    .option('--json', 'print one JSON object and nothing else');
}

async function show(io: Io, file: string, options: EvidenceOptions): Promise<void> {
  const verdict = look(await evidenceOf(file, options), timeOf(options));
  io.result(verdictJson(verdict), verdictText(verdict, 'show'));
}

async function verifyFile(io: Io, file: string, options: VerifyOptions): Promise<void> {
  const evidence = await evidenceOf(file, options);
  const text = await readingPolicy(options.policy);
  const parsed = parsePolicy(text, options.policy);
  const circumstances = { nowMs: timeOf(options), reportData: reportDataOf(options.reportData) };
  const outcome = evidence.kind === 'command' ? await runCommand(evidence, parsed, circumstances) : undefined;
  const verdict = verify(evidence, parsed, { ...circumstances, outcome });
  io.result(verdictJson(verdict), verdictText(verdict, 'verify'));
  if (verdict.accepted) return;
  throw new DaasError(
    'DAAS_TEE_EVIDENCE_REFUSED',
    `the evidence is refused: ${[...new Set(verdict.reasons.map(({ check }) => check))].join(', ')} (${file}, by ${options.policy})`,
    { exitCode: EXIT.unexpected, details: { file, reasons: verdict.reasons } },
  );
}

async function policy(io: Io, file: string, options: EvidenceOptions): Promise<void> {
  const evidence = await evidenceOf(file, options);
  const { claims, reasons } = look(evidence, timeOf(options));
  if (!claims) {
    throw new DaasError(
      'DAAS_TEE_EVIDENCE_REFUSED',
      `no policy can accept this evidence: ${reasons.map(({ message }) => message).join('; ')} (${file})`,
      { exitCode: EXIT.unexpected, details: { file, reasons } },
    );
  }
  const suggested = suggestPolicy(evidence, claims);
  for (const { check, message } of reasons) io.warn(`${check}: ${message}`);
  io.note('Compare the measurement with one computed from the image before you trust this policy.');
  io.result(suggested, JSON.stringify(suggested, undefined, 2));
}

async function showCollateral(io: Io, file: string): Promise<void> {
  const items = parseCollateral(await reading(file, 'the collateral'), file);
  const described = items.map(describeCollateral);
  io.result({ file, items: described.map(collateralJson) }, collateralTable(described));
}

async function fetchFor(io: Io, file: string, options: FetchCommandOptions): Promise<void> {
  const evidence = parseEvidence(await reading(file, 'the evidence'), file, options.kind);
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
  await writing(options.out, formatCollateral(items));
  const described = items.map(describeCollateral);
  io.step(`wrote ${items.length} documents`, options.out);
  io.result({ file: options.out, items: described.map(collateralJson) }, collateralTable(described));
}

function collateralTable(items: readonly CollateralDescription[]): string {
  if (items.length === 0) return 'No collateral: evidence of this kind needs none.';
  const day = (ms: number | undefined) =>
    ms === undefined || Number.isNaN(ms) ? '–' : new Date(ms).toISOString().replace('.000Z', 'Z');
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

function collateralJson({ fromMs, toMs, fetchedAtMs, ...rest }: CollateralDescription) {
  return { ...rest, fromMs: fromMs ?? null, toMs: toMs ?? null, fetchedAtMs: fetchedAtMs ?? null };
}

async function evidenceOf(file: string, options: EvidenceOptions): Promise<Evidence> {
  const evidence = parseEvidence(await reading(file, 'the evidence'), file, options.kind);
  const more: CollateralItem[] = [];
  for (const path of options.collateral)
    more.push(...parseCollateral(await reading(path, 'the collateral'), path));
  return {
    ...evidence,
    format: options.format ?? evidence.format,
    collateral: [...evidence.collateral, ...more],
  };
}

function timeOf({ at }: EvidenceOptions): number {
  const ms = at === undefined ? Date.now() : Date.parse(at);
  if (!Number.isNaN(ms)) return ms;
  throw new ConfigurationError(
    'DAAS_COMMAND_LINE_INVALID',
    `'${at}' is no time (--at). Write it as 2026-02-03T11:00:00Z`,
  );
}

function reportDataOf(hex: string | undefined): Buffer | undefined {
  if (hex === undefined) return undefined;
  const digits = hex.replace(/^0x/, '');
  if (/^(?:[0-9a-fA-F]{2})+$/.test(digits)) return Buffer.from(digits, 'hex');
  throw new ConfigurationError('DAAS_HEX_INVALID', `'${hex}' is not hexadecimal (--report-data)`);
}

/** Evidence with all its collateral in base64 has a few hundred kilobytes. */
const LONGEST_BYTES = 16 * 1024 * 1024;

async function reading(file: string, what: string): Promise<Buffer> {
  try {
    return await readBounded(file, LONGEST_BYTES);
  } catch (cause) {
    throw unreadable(file, what, 'read', cause);
  }
}

/** A policy decides whom this machine trusts, and which programs it runs: others must not be able to write it. */
async function readingPolicy(file: string): Promise<string> {
  try {
    return await readTrustedText(file, { what: 'the attestation policy', origin: '--policy' });
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw unreadable(file, 'the attestation policy', 'read', cause);
  }
}

async function writing(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw unreadable(file, 'the collateral', 'written', cause);
  }
}

function unreadable(file: string, what: string, verb: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_TEE_FILE_UNREADABLE',
    `${what} cannot be ${verb}: ${file} (${messageOf(cause)})`,
    {
      cause,
      details: { file },
    },
  );
}
