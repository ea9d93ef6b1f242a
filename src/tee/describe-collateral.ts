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
    if (error instanceof Refusal || error instanceof SyntaxError)
      return { subject: `not readable: ${error.message}`, fromMs: undefined, toMs: undefined };
    throw error;
  }
}

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
  const reply = JSON.parse(bytes.toString('utf8')) as Record<string, Record<string, unknown> | undefined>;
  const inner = reply.tcbInfo ?? reply.enclaveIdentity ?? {};
  const subject = typeof inner.fmspc === 'string' ? `, FMSPC ${inner.fmspc.toLowerCase()}` : '';
  return {
    subject: `${String(inner.id)}${subject}`,
    fromMs: Date.parse(String(inner.issueDate)),
    toMs: Date.parse(String(inner.nextUpdate)),
  };
}
