import { Command } from 'commander';
import { ConfigurationError, DaasError, EXIT } from '#base';
import { readTrustedText } from '#infrastructure';
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
  timeText,
  VENDOR_SERVICES,
  type Verdict,
  verify,
} from '#tee';
import { type Io, table } from './io.ts';
import { teeEvidenceCommand } from './tee-evidence.ts';
import { readTeeFile, unusable, writeTeeFile } from './tee-files.ts';
import { verdictJson, verdictText } from './tee-verdict.ts';

/** `k3s-daas tee`: evidence of a machine, looked at and judged offline. */
export function teeCommand(io: Io): Command {
  const command = new Command('tee').description(
    'Evidence of trusted execution environments: what it shows, and whether it meets a policy.',
  );
  withEvidence(command.command('show <file>'))
    .description('Show what evidence contains, and what is wrong with it whatever a policy says.')
    .option(...PROGRAM)
    .action((file: string, options: LookOptions) => show(io, file, options));
  withEvidence(command.command('verify <file>'))
    .description('Judge evidence by a policy. No network is used.')
    .requiredOption('--policy <file>', 'the policy; `tee policy` writes one to begin with')
    .option('--report-data <hex>', 'what the evidence must be bound to')
    .action((file: string, options: VerifyOptions) => verifyFile(io, file, options));
  withEvidence(command.command('policy <file>'))
    .description('Write a policy that accepts exactly what evidence shows, to standard output.')
    .option(...PROGRAM)
    .action((file: string, options: LookOptions) => policy(io, file, options));
  command.addCommand(teeEvidenceCommand(io));
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
interface LookOptions extends EvidenceOptions {
  readonly program?: string;
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

const PROGRAM = [
  '--program <file>',
  'for the kind `command`: the program that reads it (absolute path)',
] as const;

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

async function show(io: Io, file: string, options: LookOptions): Promise<void> {
  const verdict = await looked(await evidenceOf(file, options), options);
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

/** Evidence of the kind `command` says nothing without its program. */
function looked(evidence: Evidence, options: LookOptions): Promise<Verdict> {
  const { program } = options;
  if (evidence.kind === 'command' && (evidence.format === undefined || !program?.startsWith('/')))
    throw new ConfigurationError(
      'DAAS_COMMAND_LINE_INVALID',
      'evidence of the kind `command` is read by a program of yours: pass its absolute path (--program), and the name of the format (--format) where the file does not have it',
    );
  return look(evidence, { nowMs: timeOf(options), program });
}

async function policy(io: Io, file: string, options: LookOptions): Promise<void> {
  const evidence = await evidenceOf(file, options);
  const { claims, reasons } = await looked(evidence, options);
  if (!claims) {
    throw new DaasError(
      'DAAS_TEE_EVIDENCE_REFUSED',
      `no policy can accept this evidence: ${reasons.map(({ message }) => message).join('; ')} (${file})`,
      { exitCode: EXIT.unexpected, details: { file, reasons } },
    );
  }
  const suggested = suggestPolicy(evidence, claims, options.program);
  for (const { check, message } of reasons) io.warn(`${check}: ${message}`);
  io.note('Compare the measurement with one computed from the image before you trust this policy.');
  if (evidence.kind === 'tpm')
    io.note('Compare the attestation key with the one made on the machine: no vendor vouches for it.');
  io.result(suggested, JSON.stringify(suggested, undefined, 2));
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

function collateralTable(items: readonly CollateralDescription[]): string {
  if (items.length === 0) return 'No collateral: evidence of this kind needs none.';
  const day = (ms: number | undefined) =>
    ms === undefined || !Number.isFinite(ms) ? '–' : timeText(ms).replace('.000Z', 'Z');
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
  const evidence = parseEvidence(await readTeeFile(file, 'the evidence'), file, options.kind);
  const more: CollateralItem[] = [];
  for (const path of options.collateral)
    more.push(...parseCollateral(await readTeeFile(path, 'the collateral'), path));
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

/** A policy decides whom this machine trusts, and which programs it runs: others must not be able to write it. */
async function readingPolicy(file: string): Promise<string> {
  try {
    return await readTrustedText(file, { what: 'the attestation policy', origin: '--policy' });
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw unusable(file, 'the attestation policy cannot be read', cause);
  }
}
