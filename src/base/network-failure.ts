import { messageOf } from './errors.ts';
import { printable } from './printable.ts';

const LONGEST = 300;

/** Libraries wrap what went wrong ("fetch failed"); the innermost error is the one with a code. */
export function innermostCause(error: unknown): unknown {
  let here = error;
  // Bounded: a cause may be its own cause.
  for (let depth = 0; depth < 10 && here instanceof Error && here.cause !== undefined; depth += 1)
    here = here.cause;
  return here;
}

/** Why a connection or a call over it failed, with the system's own words and, where there is one, the fix. */
export function describeNetworkFailure(error: unknown): string {
  const cause = innermostCause(error);
  const own = printable(messageOf(cause), LONGEST);
  const code = codeOf(cause);
  const known = code === undefined ? undefined : sentenceOf(code);
  return known ? known.replace('%', () => own) : own;
}

function codeOf(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** `%` stands for the system's own words. */
const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused (%): nothing listens there',
  ENOTFOUND: 'the host name is unknown (%): check the name',
  EAI_AGAIN: 'the name server does not answer (%)',
  ECONNRESET: 'the connection broke off (%)',
  EPIPE: 'the connection broke off (%)',
  UND_ERR_SOCKET: 'the connection broke off (%)',
  ETIMEDOUT: 'no connection came about (%): is a firewall in between?',
  UND_ERR_CONNECT_TIMEOUT: 'no connection came about (%): is a firewall in between?',
  EHOSTUNREACH: 'there is no route to it (%)',
  ENETUNREACH: 'there is no route to it (%)',
  CERT_HAS_EXPIRED: 'its certificate has expired (%)',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet (%): check the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name (%): check the address',
};
const UNTRUSTED =
  'its certificate is not trusted (%): check the address; for an authority of your own, set NODE_EXTRA_CA_CERTS to its PEM file';
const UNTRUSTED_CODES = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
]);

function sentenceOf(code: string): string | undefined {
  if (UNTRUSTED_CODES.has(code)) return UNTRUSTED;
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return 'the TLS handshake failed (%): are the port and https:// right?';
  if (code.startsWith('HPE_')) return 'it does not speak HTTP (%): are the port and http:// right?';
  return SENTENCES[code];
}
