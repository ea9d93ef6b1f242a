import { Command } from 'commander';
import { ConfigurationError, DaasError, EXIT } from '#base';
import {
  type CollateralItem,
  type Evidence,
  look,
  parseCollateral,
  parseEvidence,
  parsePolicy,
  runCommand,
  suggestPolicy,
  type Verdict,
  verify,
} from '#tee';
import type { Io } from './io.ts';
import { teeCollateralCommand } from './tee-collateral.ts';
import { teeEvidenceCommand } from './tee-evidence.ts';
import { readTeeFile, readTrustedTeeFile } from './tee-files.ts';
import { verdictJson, verdictText } from './tee-verdict.ts';

/** `k3s-daas tee`: evidence of a machine, looked at and judged offline. */
export function teeCommand(io: Io): Command {
  const command = new Command('tee').description(
    'Evidence of trusted execution environments: what it shows, and whether it meets a policy.',
  );
  withEvidence(command.command('show <file>'))
    .description('Show what evidence contains, and what is wrong with it whatever a policy says.')
    .option(...PROGRAM)
    .option(...DEV_ROOT)
    .action((file: string, options: LookOptions) => show(io, file, options));
  withEvidence(command.command('verify <file>'))
    .description('Judge evidence by a policy. No network is used.')
    .requiredOption('--policy <file>', 'the policy; `tee policy` writes one to begin with')
    .option('--report-data <hex>', 'what the evidence must be bound to')
    .action((file: string, options: VerifyOptions) => verifyFile(io, file, options));
  withEvidence(command.command('policy <file>'))
    .description('Write a policy that accepts exactly what evidence shows, to standard output.')
    .option(...PROGRAM)
    .option(...DEV_ROOT)
    .action((file: string, options: LookOptions) => policy(io, file, options));
  command.addCommand(teeEvidenceCommand(io));
  command.addCommand(teeCollateralCommand(io));
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
  readonly devRoot?: string;
}
interface VerifyOptions extends EvidenceOptions {
  readonly policy: string;
  readonly reportData?: string;
}
const DEV_ROOT = [
  '--dev-root <hex>',
  'SHA-256 of the root of a stand-in, for the mode dev: it proves nothing',
] as const;
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
  // A policy decides whom this machine trusts, and which programs it runs: others must not be able to write it.
  const text = await readTrustedTeeFile(options.policy, {
    what: 'the attestation policy',
    origin: '--policy',
  });
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
  const { program, devRoot } = options;
  if (devRoot !== undefined && !/^[0-9a-fA-F]{64}$/.test(devRoot))
    throw new ConfigurationError(
      'DAAS_HEX_INVALID',
      `'${devRoot}' is no SHA-256 in hexadecimal (--dev-root)`,
    );
  if (evidence.kind === 'command' && (evidence.format === undefined || !program?.startsWith('/')))
    throw new ConfigurationError(
      'DAAS_COMMAND_LINE_INVALID',
      'evidence of the kind `command` is read by a program of yours: pass its absolute path (--program), and the name of the format (--format) where the file does not have it',
    );
  return look(evidence, { nowMs: timeOf(options), program, devRoot: devRoot?.toLowerCase() });
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
  const suggested = suggestPolicy(evidence, claims, {
    program: options.program,
    devRoot: options.devRoot?.toLowerCase(),
  });
  for (const { check, message } of reasons) io.warn(`${check}: ${message}`);
  io.note('Compare the measurement with one computed from the image before you trust this policy.');
  if (evidence.kind === 'tpm')
    io.note('Compare the attestation key with the one made on the machine: no vendor vouches for it.');
  io.result(suggested, JSON.stringify(suggested, undefined, 2));
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
