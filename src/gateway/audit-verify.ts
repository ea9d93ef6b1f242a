import { type KeyObject, timingSafeEqual } from 'node:crypto';
import type { AuditAnchor } from '#domain';
import { type ChainHead, GENESIS, lineHash } from './audit-chain.ts';
import {
  type AuditPlace,
  type AuditText,
  auditLines,
  type ParsedLine,
  parseAuditLine,
} from './audit-reading.ts';
import { CHECKPOINT_EVENT, readHead } from './audit-seal.ts';
import { isSignedBy, macOf } from './audit-signer.ts';
import { type AnchorsVerdict, type AnchorWalk, createAnchorWalk } from './audit-verify-anchors.ts';
import { merkleTree } from './merkle.ts';

export interface AuditTrust {
  /** Signing keys whose checkpoints count, 64 hex digits each; empty: signatures are not checked. */
  readonly keys: readonly string[];
  /** The key of the keyed hash of one of them; `undefined`: keyed hashes are not checked. */
  readonly mac?: { readonly publicKey: string; readonly key: KeyObject } | undefined;
  /** A line that an earlier run has seen. */
  readonly seen?: ChainHead | undefined;
  /** Lines that are anchored on chain; `undefined`: the chain was not asked. */
  readonly anchors?: readonly AuditAnchor[] | undefined;
}

type AuditFault =
  | 'unreadable'
  | 'changed'
  | 'missing'
  | 'rechained'
  | 'keyed_hash'
  | 'signature'
  | 'end_missing'
  | 'unsigned'
  | 'not_as_seen';

interface AuditProblem {
  readonly file: string;
  readonly line: number;
  readonly fault: AuditFault;
  readonly detail: string;
}

export interface AuditReport {
  readonly files: number;
  readonly lines: number;
  readonly first: number;
  readonly head: ChainHead;
  readonly checkpoints: number;
  /** The last line that a checkpoint with a good signature covers. */
  readonly signedThrough: number;
  /** Lines whose keyed hash was checked. */
  readonly macs: number;
  /** Keys that checkpoints name. */
  readonly keys: readonly string[];
  readonly problemCount: number;
  /** The first ones. */
  readonly problems: readonly AuditProblem[];
  /** `undefined`: the chain was not asked. */
  readonly anchored?: AnchorsVerdict | undefined;
}

type Fault = Pick<AuditProblem, 'fault' | 'detail'>;

const mostProblems = 50;

interface Walk {
  readonly trust: AuditTrust;
  readonly problems: AuditProblem[];
  readonly keys: Set<string>;
  problemCount: number;
  lines: number;
  first: number;
  head: ChainHead;
  checkpoints: number;
  signedThrough: number;
  macs: number;
  /** The key that the current life of the gateway writes with; `undefined`: it writes without one. */
  key: string | undefined;
  /** Hashes of the lines since the last checkpoint, by their sequence. */
  unsealed: Map<number, string>;
  /** A line that is none: the rest of one that a crash cut short, if the gateway says so in the next. */
  fragment: AuditText | undefined;
  hasSeen: boolean;
  readonly anchors: AnchorWalk;
}

/** Walks the files line by line; problems are found where they are, and the walk goes on after each. */
export async function verifyAudit({ files, headFile }: AuditPlace, trust: AuditTrust): Promise<AuditReport> {
  const walk: Walk = {
    trust,
    problems: [],
    keys: new Set(),
    problemCount: 0,
    lines: 0,
    first: 0,
    head: GENESIS,
    checkpoints: 0,
    signedThrough: 0,
    macs: 0,
    key: undefined,
    unsealed: new Map(),
    fragment: undefined,
    hasSeen: false,
    anchors: createAnchorWalk(trust.anchors ?? []),
  };
  let last: AuditText = { file: files.at(-1) ?? '', number: 0, text: '' };
  for await (const text of auditLines(files)) {
    if (text.text !== '') takeText(walk, text);
    last = text;
  }
  if (walk.fragment) blame(walk, walk.fragment, 'unreadable', 'it is no line of an audit file');
  const kept = headFile === undefined ? undefined : await readHead(headFile);
  takeEnd(walk, last, kept);
  const anchored = takeAnchors(walk, last);
  const { problems, keys, first, head, lines, checkpoints, signedThrough, macs, problemCount } = walk;
  const figures = { lines, first, head, checkpoints, signedThrough, macs, problemCount };
  const asked = trust.anchors === undefined ? {} : { anchored };
  return { files: files.length, ...figures, keys: [...keys], problems, ...asked };
}

function takeText(walk: Walk, text: AuditText): void {
  const line = parseAuditLine(text.text);
  const { fragment } = walk;
  if (fragment) {
    walk.fragment = undefined;
    const isCut = line?.event === 'audit.opened' && line.facts.cut_short === true;
    if (!isCut) blame(walk, fragment, 'unreadable', 'it is no line of an audit file');
  }
  if (!line) {
    walk.fragment = text;
    return;
  }
  takeLine(walk, text, line);
}

function takeLine(walk: Walk, text: AuditText, line: ParsedLine): void {
  const { seq, hash } = line;
  // A line that says the same in other characters is not the one that was written.
  const { mac, body } = line;
  const isAsWritten = text.text === JSON.stringify({ ...body, hash, ...(mac !== undefined && { mac }) });
  if (lineHash(body) !== hash || !isAsWritten)
    blame(walk, text, 'changed', 'its hash is not that of its content');
  if (walk.lines === 0) walk.first = seq;
  const broken = walk.lines > 0 || seq === 1 ? breakOf(walk, line) : undefined;
  if (broken) blame(walk, text, broken.fault, broken.detail);
  takeMac(walk, text, line);
  const { seen } = walk.trust;
  if (seen?.sequence === seq) {
    walk.hasSeen = true;
    if (seen.hash !== hash) blame(walk, text, 'not_as_seen', `it was seen with the hash ${seen.hash}`);
  }
  walk.anchors.take(text, line);
  if (line.event === CHECKPOINT_EVENT) takeCheckpoint(walk, text, line);
  else walk.unsealed.set(seq, hash);
  walk.head = { sequence: seq, hash };
  walk.lines += 1;
}

/** What is wrong with how a line continues the one before it. */
function breakOf({ head }: Walk, { seq, prev }: ParsedLine): Fault | undefined {
  const next = head.sequence + 1;
  if (seq > next) {
    const lost = seq - next === 1 ? `line ${next} is` : `lines ${next} to ${seq - 1} are`;
    return { fault: 'missing', detail: `${lost} missing before it` };
  }
  if (seq < next) return { fault: 'rechained', detail: `it is line ${seq}, and line ${next} comes here` };
  if (prev === head.hash) return undefined;
  return { fault: 'rechained', detail: `it does not continue line ${head.sequence}` };
}

function takeMac(walk: Walk, text: AuditText, { seq, event, facts, hash, mac }: ParsedLine): void {
  if (event === 'audit.opened') {
    const key = typeof facts.key === 'string' ? facts.key : undefined;
    if (walk.key !== undefined && key === undefined)
      blame(walk, text, 'keyed_hash', 'from here on lines carry no keyed hash, as those before do');
    takeKey(walk, text, key);
  } else if (event === 'audit.rotated' && walk.lines === 0 && typeof facts.key === 'string')
    takeKey(walk, text, facts.key);
  const { mac: known } = walk.trust;
  const isOurs = walk.key !== undefined && walk.key === known?.publicKey;
  if (walk.key !== undefined && mac === undefined)
    blame(walk, text, 'keyed_hash', 'it carries no keyed hash');
  else if (isOurs && known && mac !== undefined) {
    walk.macs += 1;
    if (!isSame(mac, macOf(known.key, hash)))
      blame(walk, text, 'keyed_hash', `the gateway did not write line ${seq} like this`);
  }
}

function takeKey(walk: Walk, text: AuditText, key: string | undefined): void {
  const { keys } = walk.trust;
  if (key !== undefined && keys.length > 0 && !keys.includes(key))
    blame(
      walk,
      text,
      'keyed_hash',
      `from here on lines are written with ${key}, which is no key of this gateway`,
    );
  walk.key = key;
}

function takeCheckpoint(walk: Walk, text: AuditText, line: ParsedLine): void {
  const { unsealed } = walk;
  walk.checkpoints += 1;
  walk.keys.add(String(line.facts.key));
  walk.unsealed = new Map();
  const detail = checkpointProblem(line, unsealed, walk.trust.keys);
  if (detail !== undefined) blame(walk, text, 'signature', detail);
  else if (walk.trust.keys.length > 0) walk.signedThrough = line.seq - 1;
}

function checkpointProblem(
  { seq, prev, facts }: ParsedLine,
  unsealed: ReadonlyMap<number, string>,
  keys: readonly string[],
): string | undefined {
  const { gateway, key, from, through, root, signature } = facts as Record<string, string | number>;
  const said = { gateway: String(gateway), from: Number(from), through: Number(through), root: String(root) };
  if (said.through !== seq - 1) return 'it signs another line than the one before it';
  const covered = [...unsealed].filter(([sequence]) => sequence >= said.from).map(([, hash]) => hash);
  // After a gap, or in a file that begins within: the gap is reported where it is.
  const isWhole = covered.length > 0 && covered.length === said.through - said.from + 1;
  if (isWhole && merkleTree(covered).root !== said.root)
    return `it signs other lines than ${said.from} to ${said.through} are now`;
  if (keys.length === 0) return undefined;
  if (!keys.includes(String(key))) return `it is signed by ${key}, which is no key of this gateway`;
  const isGood = isSignedBy(String(key), { ...said, head: prev }, String(signature));
  return isGood ? undefined : 'its signature does not hold';
}

function takeEnd(walk: Walk, last: AuditText, kept: number | undefined): void {
  const { sequence } = walk.head;
  if (kept !== undefined && kept > sequence)
    blame(
      walk,
      last,
      'end_missing',
      `lines ${sequence + 1} to ${kept} are missing after it: a checkpoint has them`,
    );
  const { seen, keys } = walk.trust;
  if (seen && !walk.hasSeen && seen.sequence > sequence)
    blame(walk, last, 'end_missing', `line ${seen.sequence}, which was seen before, is missing after it`);
  const isProven = walk.signedThrough > 0 || walk.macs > 0;
  // Without their keyed hashes and checkpoints, lines that were made anew look like those of an earlier version.
  if (keys.length > 0 && !isProven && walk.problemCount === 0)
    blame(
      walk,
      last,
      'unsigned',
      'no line up to here is signed with the key: an earlier version wrote them, the gateway began within the last minute, or somebody without the key made them',
    );
}

function takeAnchors(walk: Walk, last: AuditText): AnchorsVerdict {
  const { anchors, first, head } = walk;
  const { verdict, problems } = anchors.end(last, { first, last: head.sequence });
  for (const { text, fault, detail } of problems) blame(walk, text, fault, detail);
  return verdict;
}

function blame(walk: Walk, { file, number }: AuditText, fault: AuditFault, detail: string): void {
  walk.problemCount += 1;
  if (walk.problems.length < mostProblems) walk.problems.push({ file, line: number, fault, detail });
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
