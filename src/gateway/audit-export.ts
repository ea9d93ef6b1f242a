import { z } from 'zod';
import { lineHash } from './audit-chain.ts';
import { auditLines, type ParsedLine, parseAuditLine } from './audit-reading.ts';
import { CHECKPOINT_EVENT } from './audit-seal.ts';
import { isSignedBy } from './audit-signer.ts';
import { isIncluded, merkleTree } from './merkle.ts';

export const EXPORT_FORMAT = 'k3s-daas-audit-export/1';

/**
 * The lines about one node, each with the way to a signed checkpoint: whoever gets the file can check that the gateway wrote
 * these lines, and sees no line about others.
 */
export const AuditExport = z.object({
  format: z.literal(EXPORT_FORMAT),
  node: z.string(),
  /** Checkpoint lines, as they stand in the file. */
  checkpoints: z.array(z.string()),
  lines: z.array(
    z.object({
      /** As it stands in the file. */
      line: z.string(),
      /** Left out for a line that no checkpoint has in its tree: one just before a crash, or the newest. */
      proof: z
        .object({
          /** Its place in `checkpoints`. */
          checkpoint: z.int().min(0),
          path: z.array(z.string().regex(/^[0-9a-f]{64}$/)).max(64),
        })
        .optional(),
    }),
  ),
});
export type AuditExport = z.infer<typeof AuditExport>;

export async function exportNode(files: readonly string[], node: string): Promise<AuditExport> {
  const mark = `"node_id":${JSON.stringify(node)}`;
  const found: AuditExport = { format: EXPORT_FORMAT, node, checkpoints: [], lines: [] };
  let hashes = new Map<number, string>();
  let open: Array<{ readonly seq: number; readonly entry: AuditExport['lines'][number] }> = [];
  for await (const { text } of auditLines(files)) {
    const line = parseAuditLine(text);
    if (!line) continue;
    if (line.event !== CHECKPOINT_EVENT) {
      hashes.set(line.seq, line.hash);
      // A reason that the operator has typed may hold the same text.
      if (!text.includes(mark) || line.facts.node_id !== node) continue;
      const entry = { line: text };
      found.lines.push(entry);
      open.push({ seq: line.seq, entry });
      continue;
    }
    const { from, through } = rangeOf(line);
    const leaves = [...hashes].filter(([seq]) => seq >= from && seq <= through).map(([, hash]) => hash);
    const inside = open.filter(({ seq }) => seq >= from && seq <= through);
    if (leaves.length === through - from + 1 && inside.length > 0) {
      const checkpoint = found.checkpoints.push(text) - 1;
      const tree = merkleTree(leaves);
      for (const { seq, entry } of inside) entry.proof = { checkpoint, path: [...tree.pathOf(seq - from)] };
    }
    hashes = new Map();
    open = [];
  }
  return found;
}

export interface ExportVerdict {
  readonly lines: number;
  /** Lines that a good checkpoint proves. */
  readonly proven: number;
  /** Keys that the checkpoints name. */
  readonly keys: readonly string[];
  /** `line` is the place in `lines`, from 1. */
  readonly problems: ReadonlyArray<{ readonly line: number; readonly detail: string }>;
}

/** `keys`: as in `AuditTrust`. */
export function verifyExport(
  { node, lines, checkpoints }: AuditExport,
  keys: readonly string[],
): ExportVerdict {
  const problems: Array<{ line: number; detail: string }> = [];
  const signed = checkpoints.map((text) => checkpointOf(text, keys));
  let proven = 0;
  lines.forEach(({ line: text, proof }, index) => {
    const detail = problemOf({ text, node, proof }, signed);
    if (detail !== undefined) problems.push({ line: index + 1, detail });
    else if (proof) proven += 1;
  });
  return { lines: lines.length, proven, keys: [...new Set(signed.map(({ key }) => key))], problems };
}

interface Signed {
  readonly key: string;
  readonly from: number;
  readonly through: number;
  readonly root: string;
  readonly problem: string | undefined;
}

function checkpointOf(text: string, keys: readonly string[]): Signed {
  const line = parseAuditLine(text);
  const nothing = { key: '', from: 1, through: 0, root: '' };
  if (line?.event !== CHECKPOINT_EVENT) return { ...nothing, problem: 'its checkpoint is none' };
  const { gateway, key, root, signature } = line.facts as Record<string, string>;
  const range = rangeOf(line);
  const said = { gateway: String(gateway), ...range, root: String(root), head: line.prev };
  const isTrusted = keys.length === 0 || keys.includes(String(key));
  const problem = !isTrusted
    ? `its checkpoint is signed by ${key}, which is no key of this gateway`
    : isSignedBy(String(key), said, String(signature))
      ? undefined
      : 'the signature of its checkpoint does not hold';
  return { key: String(key), ...range, root: String(root), problem };
}

function problemOf(
  { text, node, proof }: { text: string; node: string; proof: AuditExport['lines'][number]['proof'] },
  signed: readonly Signed[],
): string | undefined {
  const line = parseAuditLine(text);
  if (!line) return 'it is no line of an audit file';
  if (line.facts.node_id !== node) return `it is not about ${node}`;
  if (lineHash(line.body) !== line.hash) return 'its hash is not that of its content';
  if (!proof) return undefined;
  const checkpoint = signed[proof.checkpoint];
  if (!checkpoint) return 'its checkpoint is not in the file';
  if (checkpoint.problem !== undefined) return checkpoint.problem;
  const { from, through, root } = checkpoint;
  const place = { leaf: line.hash, index: line.seq - from, size: through - from + 1, path: proof.path, root };
  return isIncluded(place) ? undefined : 'it is not among the lines that its checkpoint signs';
}

function rangeOf({ facts }: ParsedLine): { readonly from: number; readonly through: number } {
  return { from: Number(facts.from), through: Number(facts.through) };
}
