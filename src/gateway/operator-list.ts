import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigurationError } from '#base';
import { readTrustedText } from '#infrastructure';
import { OPERATOR_ROLES, type OperatorRole } from './operator-roles.ts';

/** Files in `gateway.operators.directory`. */
export const OPERATOR_FILES = { caCert: 'ca.crt', caKey: 'ca.key', list: 'operators.json' } as const;

/** A lower-case name, such as `alice` or `on-call.2`. */
export const OPERATOR_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

const OperatorEntry = z.strictObject({
  name: z.string().regex(OPERATOR_NAME),
  role: z.enum(OPERATOR_ROLES),
  /** Of the certificate, hexadecimal in lower case. */
  serial: z.string().regex(/^[0-9a-f]{16,40}$/),
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
  revokedAtMs: z.number().optional(),
});
/** Every certificate that was issued. What is not on the list counts for nothing, whoever has signed it. */
export const OperatorList = z.strictObject({ version: z.literal(1), operators: z.array(OperatorEntry) });
export type OperatorList = z.infer<typeof OperatorList>;

/** Somebody who has shown a certificate that counts. */
export interface Operator {
  readonly name: string;
  readonly role: OperatorRole;
}

/**
 * Reads which certificates were issued and which are revoked.
 * @throws `DAAS_OPERATOR_CA_UNUSABLE`.
 */
export async function readOperatorList(directory: string): Promise<OperatorList> {
  const path = join(directory, OPERATOR_FILES.list);
  try {
    const rules = { what: 'the list of operators', origin: 'gateway.operators.directory' };
    return OperatorList.parse(JSON.parse(await readTrustedText(path, rules)));
  } catch (cause) {
    throw operatorCaUnusable(path, cause);
  }
}

/**
 * Reads the certificate of the operators' authority, PEM.
 * @throws `DAAS_OPERATOR_CA_UNUSABLE`.
 */
export async function readOperatorCa(directory: string): Promise<string> {
  const path = join(directory, OPERATOR_FILES.caCert);
  try {
    const rules = { what: 'the authority of the operators', origin: 'gateway.operators.directory' };
    const pem = await readTrustedText(path, rules);
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    throw operatorCaUnusable(path, cause);
  }
}

export function operatorCaUnusable(path: string, cause: unknown): Error {
  if (cause instanceof ConfigurationError) return cause;
  return new ConfigurationError(
    'DAAS_OPERATOR_CA_UNUSABLE',
    `${path} (gateway.operators.directory) cannot be read, or is not what the gateway writes: run 'k3s-daas gateway operator init' where there is no such directory, and check owner and mode where there is`,
    { cause },
  );
}

/** What of a client's certificate counts, after TLS has verified its chain and its key. */
export interface ShownCertificate {
  readonly serialNumber: string;
  readonly subject: string;
  readonly subjectAltName?: string | undefined;
}

/** The operator whose certificate it is, or why it counts for nothing. Name and role are those that are signed. */
export function operatorOf(
  { serialNumber, subject, subjectAltName }: ShownCertificate,
  { operators }: OperatorList,
  nowMs: number,
): Operator | string {
  const entry = operators.find(({ serial }) => serial === serialNumber.toLowerCase());
  if (!entry) return 'the certificate is not on the list of operators';
  const { name, role, expiresAtMs, revokedAtMs } = entry;
  if (revokedAtMs !== undefined) return 'the certificate is revoked';
  // TLS looks at it when a connection begins; this one may be older.
  if (nowMs >= expiresAtMs) return 'the certificate has expired';
  if (subject !== `CN=${name}` || subjectAltName !== `URI:${roleUri(role)}`)
    return 'the certificate names somebody else than the list of operators';
  return { name, role };
}

/** The one subject alternative name of an operator's certificate. */
export const roleUri = (role: OperatorRole): string => `urn:k3s-daas:operator:${role}`;
