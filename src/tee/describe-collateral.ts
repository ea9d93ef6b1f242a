import { z } from 'zod';
import { asBuffer } from './bytes.ts';
import { readCertificate } from './certificate.ts';
import { readCrl } from './crl.ts';
import type { CollateralItem } from './evidence.ts';
import { Refusal } from './examination.ts';

/** What a document of the collateral is about, and when it counts. Nothing of it is checked here. */
export interface CollateralDescription {
  readonly name: string;
  readonly subject: string;
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
  readonly bytes: number;
  readonly source: string | undefined;
  readonly fetchedAtMs: number | undefined;
}

export function describeCollateral(item: CollateralItem): CollateralDescription {
  const { name, content, source, fetchedAtMs } = item;
  return { name, bytes: content.length, source, fetchedAtMs, ...about(item) };
}

type About = Pick<CollateralDescription, 'subject' | 'fromMs' | 'toMs'>;

function about(item: CollateralItem): About {
  try {
    return readable(item);
  } catch (error) {
    if (error instanceof Refusal || error instanceof SyntaxError) return unreadable(error.message);
    throw error;
  }
}

function unreadable(why: string): About {
  return { subject: `not readable: ${why}`, fromMs: undefined, toMs: undefined };
}

/** Of what Intel replies, the part that people look for. */
const Inner = z.object({
  id: z.string().optional(),
  fmspc: z.string().optional(),
  issueDate: z.string(),
  nextUpdate: z.string(),
});
const Reply = z.union([
  z.object({ tcbInfo: Inner }).transform(({ tcbInfo }) => tcbInfo),
  z.object({ enclaveIdentity: Inner }).transform(({ enclaveIdentity }) => enclaveIdentity),
]);

function readable({ name, content }: CollateralItem): About {
  const bytes = asBuffer(content);
  if (name === 'certificate') {
    const certificate = readCertificate(bytes);
    return { subject: certificate.name, fromMs: certificate.notBeforeMs, toMs: certificate.notAfterMs };
  }
  if (name === 'crl') {
    const { thisUpdateMs, nextUpdateMs, revoked } = readCrl(bytes);
    return { subject: `${revoked.size} revoked`, fromMs: thisUpdateMs, toMs: nextUpdateMs };
  }
  const reply = Reply.safeParse(JSON.parse(bytes.toString('utf8')));
  if (!reply.success) return unreadable('it is no reply of Intel’s');
  const { id = 'no id', fmspc, issueDate, nextUpdate } = reply.data;
  return {
    subject: fmspc === undefined ? id : `${id}, FMSPC ${fmspc.toLowerCase()}`,
    fromMs: Date.parse(issueDate),
    toMs: Date.parse(nextUpdate),
  };
}
