import { open } from 'node:fs/promises';
import { parseAuditLine } from './audit-reading.ts';

/** A line of the audit file, without what chains it. */
export interface AuditedDecision {
  readonly at: string;
  readonly event: string;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

/** What is written for every heartbeat or hour says nothing about decisions. */
const figures: ReadonlySet<string> = new Set(['token.heartbeats', 'token.used']);
const chunkBytes = 256 * 1024;

/**
 * The last lines of an audit file about a node, the newest first, read backwards from its end and never more than
 * `mostBytes`. Lines that are cut or not JSON are passed over: this shows, it does not verify.
 */
export async function lastDecisions(
  path: string,
  nodeId: string,
  { most = 8, mostBytes = 16 * 1024 * 1024 }: { readonly most?: number; readonly mostBytes?: number } = {},
): Promise<readonly AuditedDecision[]> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const found: AuditedDecision[] = [];
  // The beginning of the line that the chunk after this one begins within.
  let rest: Buffer = Buffer.alloc(0);
  for (let end = size; end > Math.max(0, size - mostBytes) && found.length < most; ) {
    const start = Math.max(0, end - chunkBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    const text = Buffer.concat([buffer.subarray(0, bytesRead), rest]);
    const firstBreak = start === 0 ? -1 : text.indexOf('\n');
    // A chunk without a line break lies within one line.
    if (start > 0 && firstBreak === -1) rest = text;
    else {
      rest = text.subarray(0, Math.max(0, firstBreak));
      takeLines(text.subarray(firstBreak + 1).toString('utf8'), nodeId, found, most);
    }
    end = start;
  }
  return found;
}

function takeLines(text: string, nodeId: string, found: AuditedDecision[], most: number): void {
  const mark = `"node_id":${JSON.stringify(nodeId)}`;
  for (const line of text.split('\n').reverse()) {
    if (found.length >= most) return;
    if (!line.includes(mark)) continue;
    const decision = decisionOf(line, nodeId);
    if (decision) found.push(decision);
  }
}

function decisionOf(text: string, nodeId: string): AuditedDecision | undefined {
  const line = parseAuditLine(text);
  // A reason that the operator has typed may hold the same text.
  if (line?.facts.node_id !== nodeId || figures.has(line.event)) return undefined;
  const { at, event, facts: all } = line;
  const { node_id: _, ...facts } = all as AuditedDecision['facts'];
  return { at, event, facts };
}
