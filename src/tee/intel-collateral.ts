import { verify } from 'node:crypto';
import { z } from 'zod';
import { asBuffer, FIXED_HALVES } from './bytes.ts';
import { readCertificates } from './certificate.ts';
import { checkChain } from './chain.ts';
import { type Crl, checkRevocation } from './crl.ts';
import { type CollateralItem, type CollateralName, collateralNamed } from './evidence.ts';
import { type Examination, refuse, timeText } from './examination.ts';
import type { Pck } from './pck.ts';
import { TCB_STATUSES } from './policy.ts';

const hexBytes = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`));
const Time = z.iso.datetime().transform((text) => Date.parse(text));
const Components = z.array(z.object({ svn: z.int().min(0).max(255) })).length(16);
const status = { tcbStatus: z.enum(TCB_STATUSES), advisoryIDs: z.array(z.string()).default([]) };
const SvnLevel = z.object({ tcb: z.object({ isvsvn: z.int().min(0) }), ...status });
const dates = { issueDate: Time, nextUpdate: Time };

/** Intel's TCB info, version 3 (Intel PCS API v4). Fields that decide nothing are ignored. */
const TcbInfo = z.object({
  id: z.enum(['SGX', 'TDX']),
  version: z.literal(3),
  ...dates,
  fmspc: hexBytes(6).transform((text) => text.toLowerCase()),
  pceId: hexBytes(2).transform((text) => text.toLowerCase()),
  tdxModule: z
    .object({ mrsigner: hexBytes(48), attributes: hexBytes(8), attributesMask: hexBytes(8) })
    .optional(),
  tdxModuleIdentities: z
    .array(
      z.object({
        id: z.string(),
        mrsigner: hexBytes(48),
        attributes: hexBytes(8),
        attributesMask: hexBytes(8),
        tcbLevels: z.array(SvnLevel),
      }),
    )
    .default([]),
  tcbLevels: z.array(
    z.object({
      tcb: z.object({
        sgxtcbcomponents: Components,
        pcesvn: z.int().min(0),
        tdxtcbcomponents: Components.optional(),
      }),
      ...status,
    }),
  ),
});
export type TcbInfo = z.infer<typeof TcbInfo>;

/** The identity of Intel's quoting enclave, version 2 (Intel PCS API v4). */
const QeIdentity = z.object({
  id: z.enum(['QE', 'TD_QE']),
  version: z.literal(2),
  ...dates,
  miscselect: hexBytes(4),
  miscselectMask: hexBytes(4),
  attributes: hexBytes(16),
  attributesMask: hexBytes(16),
  mrsigner: hexBytes(32),
  isvprodid: z.int().min(0),
  tcbLevels: z.array(SvnLevel),
});
export type QeIdentity = z.infer<typeof QeIdentity>;

/** What Intel published about a platform, checked: signature, chain, dates. */
export interface IntelCollateral {
  readonly tcbInfo: TcbInfo;
  readonly qeIdentity: QeIdentity;
}

export interface CollateralQuestion {
  readonly collateral: readonly CollateralItem[];
  readonly crls: readonly Crl[];
  readonly tee: 'sgx' | 'tdx';
  readonly pck: Pck;
  readonly maxAgeMs: number;
}

/**
 * Finds and checks the TCB info of this platform and the identity of the quoting enclave of this TEE. The collateral may
 * hold those of other platforms, too.
 */
export function readIntelCollateral(question: CollateralQuestion, examination: Examination): IntelCollateral {
  const { tee, pck } = question;
  const tcbId = tee === 'sgx' ? 'SGX' : 'TDX';
  const tcb = choose(question, 'tcb-info', 'tcbInfo', TcbInfo, {
    fits: ({ id, fmspc, pceId }) => id === tcbId && fmspc === pck.fmspc && pceId === pck.pceId,
    wanted: `${tcbId}, FMSPC ${pck.fmspc}, PCE id ${pck.pceId}`,
  });
  const qeId = tee === 'sgx' ? 'QE' : 'TD_QE';
  const identity = choose(question, 'qe-identity', 'enclaveIdentity', QeIdentity, {
    fits: ({ id }) => id === qeId,
    wanted: qeId,
  });
  for (const signed of [tcb, identity]) checkSigned(signed, question, examination);
  return { tcbInfo: tcb.content, qeIdentity: identity.content };
}

interface Signed<Content> {
  readonly content: Content;
  readonly text: string;
  readonly signature: Buffer;
  readonly issuerChain: string;
  readonly what: string;
}

/** Among several of a name the newest that fits: a mirror adds newer ones before older ones go. */
function choose<Content extends { readonly issueDate: number }>(
  { collateral }: CollateralQuestion,
  name: CollateralName,
  field: string,
  schema: z.ZodType<Content>,
  { fits, wanted }: { readonly fits: (content: Content) => boolean; readonly wanted: string },
): Signed<Content> {
  const all = collateralNamed(collateral, name).map((item) => readSigned(item, field, schema));
  if (all.length === 0) return refuse('collateral-missing', `the collateral has no ${name}`);
  const fitting = all.filter(({ content }) => fits(content));
  const newest = fitting.toSorted((one, other) => other.content.issueDate - one.content.issueDate)[0];
  return newest ?? refuse('collateral-mismatch', `no ${name} is for this platform: ${wanted}`);
}

/**
 * The signature is over the text between `{"tcbInfo":` and `,"signature":"…"}`: it is cut out, never parsed and written
 * again, since that can give other bytes for the same content.
 */
function readSigned<Content>(
  { name, content, issuerChain = '' }: CollateralItem,
  field: string,
  schema: z.ZodType<Content>,
): Signed<Content> {
  const reply = asBuffer(content).toString('utf8');
  const [, text, signature] =
    new RegExp(`^\\{"${field}":(\\{.*\\}),"signature":"([0-9a-f]{128})"\\}\\n?$`, 's').exec(reply) ?? [];
  if (text === undefined || signature === undefined)
    return refuse('collateral-malformed', `the ${name} is not of the form {"${field}":{…},"signature":"…"}`);
  const parsed = schema.safeParse(jsonOf(text, name));
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: '' };
    return refuse(
      'collateral-malformed',
      `the ${name} is wrong at ${path.map(String).join('.')}: ${message}`,
    );
  }
  return { content: parsed.data, text, signature: Buffer.from(signature, 'hex'), issuerChain, what: name };
}

function jsonOf(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse('collateral-malformed', `the ${name} is not JSON`);
  }
}

function checkSigned(
  { content, text, signature, issuerChain, what }: Signed<{ issueDate: number; nextUpdate: number }>,
  { crls, maxAgeMs }: CollateralQuestion,
  examination: Examination,
): void {
  const chain = readCertificates(issuerChain).toReversed();
  checkChain(chain, examination);
  checkRevocation(chain, crls, { isRequired: () => true, maxAgeMs }, examination);
  const signer = chain.at(-1);
  // Any leaf of Intel's root would do otherwise: a PCK, whose key a quoting enclave holds, among them.
  examination.demand(
    signer !== undefined && chain.length === 2 && signer.name === SIGNER && !signer.isCa,
    'certificate-mismatch',
    `the ${what} is signed by '${signer?.name}', not by '${SIGNER}' below the root`,
  );
  const { publicKey } = signer;
  examination.demand(
    publicKey.asymmetricKeyType === 'ec' &&
      verify('sha256', Buffer.from(text), { key: publicKey, dsaEncoding: FIXED_HALVES }, signature),
    'collateral-signature-invalid',
    `'${signer.name}' did not sign this ${what}`,
  );
  checkDates(content, what, maxAgeMs, examination);
}

const SIGNER = 'Intel SGX TCB Signing';

function checkDates(
  { issueDate, nextUpdate }: { readonly issueDate: number; readonly nextUpdate: number },
  what: string,
  maxAgeMs: number,
  examination: Examination,
): void {
  const { nowMs } = examination;
  const times = `the ${what} is for ${timeText(issueDate)} to ${timeText(nextUpdate)}; the time is ${timeText(nowMs)}`;
  examination.expect(nowMs >= issueDate, 'collateral-not-yet-valid', times);
  examination.expect(nowMs <= nextUpdate, 'collateral-expired', times);
  examination.expect(
    nowMs - issueDate <= maxAgeMs,
    'collateral-too-old',
    `${times}, and the policy allows an age of ${maxAgeMs / 3_600_000} h`,
  );
}
