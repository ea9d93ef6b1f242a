import { displayText } from '#base';
import { newestAnchor } from '#domain';
import type { AuditExport, AuditReport, AuditTrust, ExportVerdict, ParsedLine } from '#gateway';
import type { AnchorsAsked } from './audit-anchors.ts';
import { table } from './io.ts';

export function auditText(report: AuditReport, trust: AuditTrust, asked?: AnchorsAsked): string {
  const { lines, files, first, head, problems, problemCount } = report;
  const rows = [
    ['lines', `${lines} in ${files} ${files === 1 ? 'file' : 'files'}, ${first} to ${head.sequence}`],
    ...(first > 1
      ? [['before', `lines 1 to ${first - 1} are not here: removed by rotation, or by somebody`]]
      : []),
    ['checkpoints', checkpointsText(report, trust)],
    [
      'keyed hashes',
      trust.mac ? `${report.macs} lines checked` : 'not checked: that needs the private signing key',
    ],
    ...(asked ? [['anchors', anchorsText(report, asked)]] : []),
    ['head', `${head.sequence}:${head.hash}`],
  ];
  const found = problems.map(({ file, line, detail }) => `  ${file}:${line}: ${detail}`);
  const more = problemCount > problems.length ? [`  and ${problemCount - problems.length} more`] : [];
  const verdict =
    problemCount === 0
      ? 'Whole: no line is lost, changed or chained anew.'
      : `${problemCount} ${problemCount === 1 ? 'problem' : 'problems'}:`;
  // The table is spelled out already, and has lines.
  return [table(rows), '', verdict, ...[...found, ...more].map(displayText)].join('\n');
}

function anchorsText({ anchored }: AuditReport, asked: AnchorsAsked): string {
  if (asked.kind === 'failed') return `NOT CHECKED: ${displayText(asked.failure)}`;
  const { wallet, gateway, shown } = asked;
  const nodes = `${shown.answered} of ${shown.asked} full nodes`;
  const newest = newestAnchor(shown.anchors);
  if (!newest || !anchored)
    return `NONE FOUND of the gateway ${displayText(gateway)} by the wallet ${wallet}, as ${nodes} show: none was made yet, they hide it, or the coins of the wallet are gone`;
  const { held, before, givenUp } = anchored;
  const parts = [
    ...(held + givenUp === 0 ? ['NONE HELD'] : []),
    `${held} of ${shown.anchors.length} held, as ${nodes} show`,
    `the newest is line ${newest.sequence} of ${new Date(newest.atMs).toISOString()} (transaction ${newest.digest})`,
    ...(before > 0 ? [`${before} older than the first line here`] : []),
    ...(givenUp > 0
      ? [
          `${givenUp} NOT HERE, given up by a later line state.restored or audit.anchor-given-up: look whether the operator did that`,
        ]
      : []),
  ];
  return parts.join('; ');
}

function checkpointsText({ checkpoints, signedThrough, keys, head }: AuditReport, trust: AuditTrust): string {
  if (checkpoints === 0) return 'none';
  if (trust.keys.length === 0)
    return `${checkpoints}, signatures not checked: give --key. They name ${keys.join(', ')}`;
  return `${checkpoints}, signed through line ${signedThrough}, ${head.sequence - signedThrough} lines after it`;
}

export function exportText({ node }: AuditExport, verdict: ExportVerdict, isTrusted: boolean): string {
  const { lines, proven, problems, keys } = verdict;
  return [
    `${lines} lines about ${node}, ${proven} proven by ${isTrusted ? 'a key that you trust' : `the key that the file names (${keys.join(', ')}): compare it with \`cluster show\`, or give --key`}`,
    ...problems.map(({ line, detail }) => `  line ${line}: ${detail}`),
    problems.length > 0
      ? `${problems.length} are not as the gateway wrote them.`
      : proven === lines
        ? 'Each is as the gateway wrote it.'
        : `${lines - proven} have no proof: nothing shows that the gateway wrote them.`,
  ]
    .map(displayText)
    .join('\n');
}

/** The facts of a line as `name=value`. */
export function lineText({ facts }: ParsedLine): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}
