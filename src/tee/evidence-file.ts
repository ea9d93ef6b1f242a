import { z } from 'zod';
import { ConfigurationError } from '#base';
import { asBuffer } from './bytes.ts';
import {
  COLLATERAL_NAMES,
  type CollateralItem,
  EVIDENCE_KINDS,
  type Evidence,
  type EvidenceKind,
} from './evidence.ts';

const Base64 = z.base64().transform((text) => Buffer.from(text, 'base64'));
const Item = z.strictObject({
  name: z.enum(COLLATERAL_NAMES),
  content: Base64,
  issuerChain: z.string().max(65_536).optional(),
  source: z.string().max(2_000).optional(),
  fetchedAt: z.iso.datetime().optional(),
});
const Items = z.array(Item).max(1_000);

const CollateralFile = z.strictObject({ format: z.literal('k3s-daas-collateral/1'), items: Items });
const EvidenceFile = z.strictObject({
  format: z.literal('k3s-daas-evidence/1'),
  kind: z.enum(EVIDENCE_KINDS),
  evidence: Base64,
  command: z.string().max(41).optional(),
  collateral: Items.default([]),
});

/** Longer than any file of evidence or collateral; what is longer is not read into memory as JSON. */
const LONGEST = 32 * 1_048_576;

/** @throws ConfigurationError `DAAS_TEE_COLLATERAL_INVALID` */
export function parseCollateral(bytes: Buffer, origin: string): readonly CollateralItem[] {
  const parsed = CollateralFile.safeParse(jsonOf(bytes));
  if (parsed.success) return parsed.data.items.map(itemOf);
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: '' };
  throw new ConfigurationError(
    'DAAS_TEE_COLLATERAL_INVALID',
    `the collateral is wrong at ${path.map(String).join('.') || 'its beginning'} (${origin}): ${message}. Fetch it again with \`k3s-daas tee collateral fetch\``,
    { details: { file: origin } },
  );
}

export function formatCollateral(items: readonly CollateralItem[]): string {
  return `${JSON.stringify({ format: 'k3s-daas-collateral/1', items: items.map(itemJson) }, undefined, 2)}\n`;
}

export function formatEvidence({ kind, bytes, format, collateral }: Evidence): string {
  const file = {
    format: 'k3s-daas-evidence/1',
    kind,
    evidence: asBuffer(bytes).toString('base64'),
    command: format,
    collateral: collateral.map(itemJson),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/**
 * Evidence from a file: one that this project wrote, or the bytes of the platform itself, also as hexadecimal or base64.
 * @param kind what the bytes are; `undefined`: the file says it, or the first bytes do
 * @throws ConfigurationError `DAAS_TEE_EVIDENCE_INVALID`, `DAAS_TEE_KIND_UNKNOWN`
 */
export function parseEvidence(file: Buffer, origin: string, kind?: string): Evidence {
  const wanted = kind === undefined ? undefined : kindOf(kind);
  const json = jsonOf(file);
  if (json !== undefined) return fromJson(json, origin, wanted);
  const bytes = decoded(file);
  const found = wanted ?? guessKind(bytes);
  if (found) return { kind: found, bytes, collateral: [] };
  throw new ConfigurationError(
    'DAAS_TEE_KIND_UNKNOWN',
    `the kind of the evidence does not show in its ${bytes.length} bytes (${origin}). Pass --kind: ${EVIDENCE_KINDS.join(', ')}`,
    { details: { file: origin } },
  );
}

function fromJson(json: unknown, origin: string, wanted: EvidenceKind | undefined): Evidence {
  const parsed = EvidenceFile.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: '' };
    throw new ConfigurationError(
      'DAAS_TEE_EVIDENCE_INVALID',
      `the evidence is wrong at ${path.map(String).join('.') || 'its beginning'} (${origin}): ${message}`,
      { details: { file: origin } },
    );
  }
  const { kind, evidence, command, collateral } = parsed.data;
  return { kind: wanted ?? kind, bytes: evidence, format: command, collateral: collateral.map(itemOf) };
}

function kindOf(text: string): EvidenceKind {
  const kind = EVIDENCE_KINDS.find((known) => known === text);
  if (kind) return kind;
  throw new ConfigurationError(
    'DAAS_TEE_KIND_UNKNOWN',
    `unknown kind of evidence '${text}' (--kind). Known are ${EVIDENCE_KINDS.join(', ')}`,
  );
}

/** By the form of each platform; it decides nothing but which examination refuses or accepts. */
function guessKind(bytes: Buffer): EvidenceKind | undefined {
  if (bytes.length === 0x4a0 && bytes.readUInt32LE(0) <= 5) return 'sev-snp';
  if (bytes.length > 436) {
    const [version, tee] = [bytes.readUInt16LE(0), bytes.readUInt32LE(4)];
    if (version === 3 && tee === 0) return 'sgx';
    if ((version === 4 || version === 5) && tee === 0x81) return 'tdx';
  }
  const isCose = bytes[0] === 0xd2 || (bytes[0] === 0x84 && bytes[1] === 0x44);
  if (isCose) return bytes.includes('nitrotpm_pcrs') ? 'nitrotpm' : 'nitro';
  if (bytes[0] === 0xa4 && bytes.includes('quote')) return 'tpm';
  return undefined;
}

/** Vectors and tools hand evidence out as text, too. */
function decoded(file: Buffer): Buffer {
  const text = file.toString('latin1').trim();
  if (/^(?:[0-9a-fA-F]{2})+$/.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/\s]+={0,2}$/.test(text)) return Buffer.from(text, 'base64');
  return file;
}

function jsonOf(bytes: Buffer): unknown {
  if (bytes.length > LONGEST || bytes.subarray(0, 64).toString('latin1').trimStart()[0] !== '{')
    return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function itemOf({ fetchedAt, ...item }: z.infer<typeof Item>): CollateralItem {
  return { ...item, fetchedAtMs: fetchedAt === undefined ? undefined : Date.parse(fetchedAt) };
}

function itemJson({ content, fetchedAtMs, ...item }: CollateralItem) {
  return {
    ...item,
    content: asBuffer(content).toString('base64'),
    ...(fetchedAtMs !== undefined && { fetchedAt: new Date(fetchedAtMs).toISOString() }),
  };
}
