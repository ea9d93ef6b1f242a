import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { ConfigurationError, EXIT, messageOf } from '#base';
import type { AuditReport, AuditTrust } from '#gateway';
import { readBounded } from '#infrastructure';
import type { AnchorOptions, AnchorsAsked } from './audit-anchors.ts';
import { auditText, exportText, lineText } from './audit-views.ts';
import { withDeployment, withNetwork } from './chain-options.ts';
import { gatewaySection, keyFilesOf } from './gateway-config.ts';
import { type Io, table } from './io.ts';
import { loadGatewaySettings } from './settings.ts';
import { readSigningKey } from './signing-key.ts';

const CONFIG = [
  '-c, --config <file>',
  'the gateway’s configuration, for the path and the key that are not given',
] as const;

/** `k3s-daas audit verify | show | export`: the audit files of a gateway, read offline. */
export function auditCommand(io: Io): Command {
  const command = new Command('audit').description(
    'The audit files of a gateway: what was decided, and whether it stands there as it was written.',
  );
  withDeployment(withNetwork(command.command('verify [path]')))
    .description(
      'Walk the chain of hashes, the keyed hashes and the signed checkpoints. The path is a directory of audit files (default: gateway.stateDir), one file, or what `audit export` wrote. Exits with 1 when a line was lost, changed or chained anew, and names it.',
    )
    .option(...CONFIG)
    .option(
      '--key <hex>',
      'a signing key of the gateway, as `cluster show` prints it (repeatable; default: the gateway’s own, beside its TLS key)',
      publicKeys,
    )
    .option('--signing-key <file>', 'the private signing key: checks the keyed hash of each line too')
    .option(
      '--head <sequence:hash>',
      'a line that an earlier run has printed as the head: it must still be there',
    )
    .option(
      '--anchor <wallet>',
      'the wallet that pays for the gateway’s probes: what it has anchored on chain must still be there (default: by the configuration, where gateway.audit.anchor is on)',
    )
    .option('--no-anchor', 'do not ask the chain')
    .option('--gateway <id>', 'whose anchors; default: the gateway that the file names')
    .action((path: string | undefined, options: VerifyOptions) => verify(io, path, options));
  command
    .command('show [path]')
    .description('Show the newest lines, oldest first.')
    .option(...CONFIG)
    .option('--node <name>', 'only lines about this node')
    .option('--event <prefix>', 'only events that begin like this, such as `operator.`')
    .option('--request <id>', 'only lines of this request, by the id that the caller and the log have')
    .option('--last <count>', 'so many lines', '50')
    .option('--json', 'print one JSON object')
    .action((path: string | undefined, options: ShowOptions) => show(io, path, options));
  command
    .command('export [path]')
    .description(
      'Write the lines about one node to a file, each with its way to a signed checkpoint: it proves them to anybody who has the gateway’s public key, and shows no line about others.',
    )
    .requiredOption('--node <name>', 'the node')
    .requiredOption('--out <file>', 'where to write; must not exist')
    .option(...CONFIG)
    .option('--json', 'print one JSON object')
    .action((path: string | undefined, options: ExportOptions) => exportLines(io, path, options));
  return command;
}

interface VerifyOptions extends AnchorOptions {
  readonly key?: readonly string[];
  readonly signingKey?: string;
  readonly head?: string;
}
interface ShowOptions {
  readonly config?: string;
  readonly node?: string;
  readonly event?: string;
  readonly request?: string;
  readonly last: string;
}
interface ExportOptions {
  readonly config?: string;
  readonly node: string;
  readonly out: string;
}

async function verify(io: Io, given: string | undefined, options: VerifyOptions): Promise<void> {
  const { auditPlace, verifyAudit, verifyExport } = await import('#gateway');
  const trust = await trustOf(given, options);
  const path = await pathOf(given, options);
  const exported = await exportAt(path);
  if (exported) {
    const verdict = verifyExport(exported, trust.keys);
    if (verdict.problems.length > 0) process.exitCode = EXIT.unexpected;
    const isTrusted = trust.keys.length > 0;
    io.result(
      { path, node: exported.node, signaturesChecked: isTrusted, ...verdict },
      exportText(exported, verdict, isTrusted),
    );
    return;
  }
  const { anchorsJson, askForAnchors } = await import('./audit-anchors.ts');
  const place = await auditPlace(path);
  const asked = await askForAnchors(io, given, options);
  const anchors = asked?.kind === 'shown' ? asked.shown.anchors : undefined;
  const report = await verifyAudit(place, { ...trust, anchors });
  const isAnchored = isChainHeard(asked, report.anchored);
  if (report.problemCount > 0 || !isAnchored) process.exitCode = EXIT.unexpected;
  const checked = { signaturesChecked: trust.keys.length > 0, keyedHashesChecked: trust.mac !== undefined };
  const { anchored, ...figures } = report;
  io.result(
    { path, ...checked, ...figures, anchors: anchorsJson(asked, anchored) },
    auditText(report, trust, asked),
  );
}

/** A chain that is silent, or shows nothing of what is here, must not look like one that agrees. */
function isChainHeard(asked: AnchorsAsked | undefined, anchored: AuditReport['anchored']): boolean {
  if (!asked) return true;
  return asked.kind === 'shown' && anchored !== undefined && anchored.held + anchored.givenUp > 0;
}

async function show(io: Io, given: string | undefined, options: ShowOptions): Promise<void> {
  const { auditLines, auditPlace, parseAuditLine } = await import('#gateway');
  const most = countOf(options.last);
  const path = await pathOf(given, options);
  const { files } = await auditPlace(path);
  const { node, event, request } = options;
  const found: Array<NonNullable<ReturnType<typeof parseAuditLine>>> = [];
  let read = 0;
  for await (const { text } of auditLines(files)) {
    read += 1;
    if (node !== undefined && !text.includes(JSON.stringify(node))) continue;
    const line = parseAuditLine(text);
    if (!line || (node !== undefined && line.facts.node_id !== node)) continue;
    if (event !== undefined && !line.event.startsWith(event)) continue;
    if (request !== undefined && line.facts.request_id !== request) continue;
    found.push(line);
    // Seldom: it moves all that stay.
    if (found.length >= 2 * most) found.splice(0, most);
  }
  const lines = found.slice(-most);
  const shown = lines.map(({ seq, at, event: name, facts }) => ({ seq, at, event: name, ...facts }));
  const rows = lines.map((line) => [String(line.seq), line.at, line.event, lineText(line)]);
  io.result(
    { lines: shown },
    rows.length === 0
      ? `no such line among the ${read} of ${path}`
      : table([['LINE', 'AT', 'EVENT', 'FACTS'], ...rows]),
  );
}

async function exportLines(io: Io, given: string | undefined, options: ExportOptions): Promise<void> {
  const { auditPlace, exportNode } = await import('#gateway');
  const { node, out } = options;
  const { files } = await auditPlace(await pathOf(given, options));
  const exported = await exportNode(files, node);
  const proven = exported.lines.filter(({ proof }) => proof).length;
  await writeFile(out, `${JSON.stringify(exported, null, 1)}\n`, { flag: 'wx', mode: 0o600 }).catch(
    (cause: unknown) => {
      throw new ConfigurationError(
        'DAAS_FILE_UNWRITABLE',
        `${out} (--out) cannot be made (${messageOf(cause)}): name a file that is not there, in a directory that you can write`,
        { cause },
      );
    },
  );
  io.result(
    { node, out, lines: exported.lines.length, proven },
    `${exported.lines.length} lines about ${node}, ${proven} of them proven by checkpoints: ${out}. Check it with: k3s-daas audit verify ${out} --key KEY`,
  );
}

async function pathOf(given: string | undefined, { config }: { readonly config?: string }): Promise<string> {
  if (given !== undefined) return given;
  return gatewaySection(await loadGatewaySettings({ file: config })).stateDir;
}

/** Keys that are given; else those of this machine's gateway, unless a path of another one is given. */
async function trustOf(given: string | undefined, options: VerifyOptions): Promise<AuditTrust> {
  const { macKeyOf, publicHexOf } = await import('#gateway');
  const { key = [], signingKey } = options;
  const seen = options.head === undefined ? undefined : headOf(options.head);
  const isOwn =
    signingKey === undefined && key.length === 0 && (given === undefined || options.config !== undefined);
  const file = signingKey ?? (isOwn ? await ownKeyFile(options) : undefined);
  if (file === undefined) return { keys: key, seen };
  const own = await readSigningKey(file).catch((cause: NodeJS.ErrnoException) => {
    // A gateway whose key was never made signs nothing.
    if (cause.code === 'ENOENT' && signingKey === undefined) return undefined;
    if (cause.code === undefined || cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_AUDIT_UNREADABLE',
      `the signing key ${file} cannot be read (${cause.code}): run this as the gateway’s user or as root, or give its public key with --key`,
      { cause },
    );
  });
  if (!own) return { keys: key, seen };
  const publicKey = publicHexOf(own);
  return { keys: [...key, publicKey], mac: { publicKey, key: macKeyOf(own) }, seen };
}

async function ownKeyFile({ config }: VerifyOptions): Promise<string> {
  return keyFilesOf(gatewaySection(await loadGatewaySettings({ file: config })).tls).signingKeyFile;
}

const longestExportBytes = 256 * 1024 * 1024;

/** `undefined`: it is no file of `audit export`. */
async function exportAt(path: string) {
  const { AuditExport, EXPORT_FORMAT } = await import('#gateway');
  if (!path.endsWith('.json')) return undefined;
  const text = (await readBounded(path, longestExportBytes).catch(() => Buffer.alloc(0))).toString('utf8');
  if (!text.includes(EXPORT_FORMAT)) return undefined;
  try {
    return AuditExport.parse(JSON.parse(text));
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_AUDIT_UNREADABLE',
      `${path} is no file of \`k3s-daas audit export\`: have it exported again`,
      { cause },
    );
  }
}

function publicKeys(text: string, before: readonly string[] = []): readonly string[] {
  const key = text.replace(/^0x/, '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(key)) return [...before, key];
  throw badFlag(`--key: '${text}' is no signing key: give 64 hexadecimal digits`);
}

function headOf(text: string): AuditTrust['seen'] {
  const [, sequence, hash = ''] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (sequence !== undefined) return { sequence: Number(sequence), hash };
  throw badFlag(`--head: '${text}' is no head: give what \`audit verify\` printed, as SEQUENCE:HASH`);
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0 && count <= 1_000_000) return count;
  throw badFlag(`--last: '${text}' is no count: give a whole number from 1 to 1000000`);
}

function badFlag(message: string): ConfigurationError {
  return new ConfigurationError('DAAS_COMMAND_LINE_INVALID', message);
}
