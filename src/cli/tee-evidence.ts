import { Command } from 'commander';
import { ConfigurationError } from '#base';
import {
  type Evidence,
  type EvidenceProvider,
  evidenceProviders,
  type Found,
  formatEvidence,
  look,
  PROVIDERS,
  type Provided,
  type ProviderName,
  type ProviderOptions,
} from '#tee';
import { type Io, table } from './io.ts';
import { writeTeeFile } from './tee-files.ts';
import { verdictJson, verdictText } from './tee-verdict.ts';

/** `k3s-daas tee evidence`: evidence of this machine. */
export function teeEvidenceCommand(io: Io): Command {
  return new Command('evidence')
    .description('Make evidence of this machine, bound to what you name, and show it.')
    .requiredOption('--report-data <hex>', 'what the evidence is bound to: 64 bytes, such as a SHA-512')
    .option('--provider <name>', `${PROVIDERS.join(', ')} (default: the first whose device is here)`)
    .option('--out <file>', 'the evidence file to write')
    .option('--program <file>', 'for `nitro` and `program`: what makes the evidence (absolute path)')
    .option(
      '--kind <kind>',
      'for `program`: what it makes, where that does not show; for `dev`: sev-snp or tdx',
    )
    .option('--format <name>', 'for `program` with the kind `command`: the name of the format')
    .option('--attestation-key <key>', 'for `tpm`: persistent handle, or context file of tpm2-tools')
    .option('--pcrs <list>', 'for `tpm`: the registers, such as 0,4,11')
    .option(
      '--dev-directory <dir>',
      'for `dev`: where its root is kept, such as the state directory of a gateway',
    )
    .option('--json', 'print one JSON object and nothing else')
    .action((options: EvidenceOptions) => makeEvidence(io, options));
}

interface EvidenceOptions {
  readonly reportData: string;
  readonly provider?: string;
  readonly out?: string;
  readonly program?: string;
  readonly kind?: string;
  readonly format?: string;
  readonly attestationKey?: string;
  readonly pcrs?: string;
  readonly devDirectory?: string;
}

type Sighting = Found & { readonly name: ProviderName };

async function makeEvidence(io: Io, options: EvidenceOptions): Promise<void> {
  const reportData = reportDataOf(options.reportData);
  const providers = evidenceProviders(providerOptions(options));
  const { chosen, sightings } = await choose(providers, options.provider);
  const provided = await chosen.provide(reportData, AbortSignal.timeout(120_000));
  const { evidence, devRoot } = provided;
  if (devRoot !== undefined)
    io.warn(
      `a stand-in made this evidence: it proves nothing, and no production policy accepts its root ${devRoot}`,
    );
  if (options.out !== undefined) {
    await writeTeeFile(options.out, formatEvidence(evidence), 'the evidence');
    io.step(`wrote evidence of the kind ${evidence.kind}`, options.out);
  }
  await print(io, { provided, sightings, chosen });
}

interface Outcome {
  readonly provided: Provided;
  readonly chosen: EvidenceProvider;
  readonly sightings: readonly Sighting[];
}

async function print(io: Io, { provided: { evidence, devRoot }, chosen, sightings }: Outcome): Promise<void> {
  const seen = evidence.kind === 'command' ? undefined : await look(evidence, { nowMs: Date.now(), devRoot });
  io.result(
    {
      provider: chosen.name,
      found: sightings,
      evidence: JSON.parse(formatEvidence(evidence)) as object,
      devRoot: devRoot ?? null,
      verdict: seen ? verdictJson(seen) : null,
    },
    [
      sightingsTable(sightings),
      '',
      sizes(evidence, chosen),
      ...(seen ? [verdictText(seen, devRoot === undefined ? 'show' : 'stand-in')] : []),
    ].join('\n'),
  );
}

function sizes({ kind, format, bytes, collateral }: Evidence, { name }: EvidenceProvider): string {
  const what = format === undefined ? kind : `${kind} (${format})`;
  return `${name} made ${bytes.length} bytes of evidence of the kind ${what}, with ${collateral.length} documents of collateral.`;
}

function sightingsTable(sightings: readonly Sighting[]): string {
  return table([
    ['provider', 'here', 'what'],
    ...sightings.map(({ name, isHere, what }) => [name, isHere ? 'yes' : 'no', what]),
  ]);
}

/** The one that was named; else the first whose device is here. A stand-in is never chosen by itself. */
async function choose(
  providers: Readonly<Record<ProviderName, EvidenceProvider>>,
  name: string | undefined,
): Promise<{ readonly chosen: EvidenceProvider; readonly sightings: readonly Sighting[] }> {
  const named = PROVIDERS.find((known) => known === name);
  if (name !== undefined && named === undefined)
    throw new ConfigurationError(
      'DAAS_COMMAND_LINE_INVALID',
      `unknown provider '${name}' (--provider): use ${PROVIDERS.join(', ')}`,
    );
  const asked = named ? [named] : PROVIDERS.filter((known) => known !== 'dev');
  const sightings = await Promise.all(
    asked.map(async (known): Promise<Sighting> => ({ name: known, ...(await providers[known].find()) })),
  );
  const here = sightings.find(({ isHere }) => isHere);
  if (here) return { chosen: providers[here.name], sightings };
  throw new ConfigurationError(
    'DAAS_TEE_DEVICE_MISSING',
    `nothing makes evidence here. ${sightings.map((one) => `${one.name}: ${one.what}`).join('; ')}. \`--provider dev\` is a stand-in`,
    { details: { found: sightings } },
  );
}

function providerOptions(options: EvidenceOptions): ProviderOptions {
  const { program, kind, format, attestationKey, pcrs, devDirectory } = options;
  if (program !== undefined && !program.startsWith('/'))
    throw new ConfigurationError('DAAS_COMMAND_LINE_INVALID', `'${program}' is no absolute path (--program)`);
  return {
    program,
    kind,
    format,
    attestationKey,
    devDirectory,
    ...(pcrs !== undefined && { pcrs: registersOf(pcrs) }),
    tcti: process.env.TPM2TOOLS_TCTI,
    nowMs: Date.now(),
  };
}

function registersOf(list: string): readonly number[] {
  const words = list.split(',');
  if (words.every((word) => /^(?:1?\d|2[0-3])$/.test(word))) return words.map(Number);
  throw new ConfigurationError(
    'DAAS_COMMAND_LINE_INVALID',
    `'${list}' is no list of registers (--pcrs): pass numbers from 0 to 23, such as 0,4,11`,
  );
}

function reportDataOf(hex: string): Buffer {
  const digits = hex.replace(/^0x/, '');
  if (/^[0-9a-fA-F]{128}$/.test(digits)) return Buffer.from(digits, 'hex');
  throw new ConfigurationError(
    'DAAS_TEE_REPORT_DATA_INVALID',
    `--report-data has ${digits.length} characters: pass 64 bytes in hexadecimal, such as a SHA-512 (128 digits)`,
  );
}
