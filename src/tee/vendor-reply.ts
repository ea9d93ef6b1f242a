import { DaasError, messageOf } from '#base';
import { fetchByProxy, readBody } from '#infrastructure';
import { derOfPem, pemOf } from './certificate.ts';
import type { CollateralItem } from './evidence.ts';

export interface RequestOptions {
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

const LONGEST_BYTES = 4_194_304;

/** In which header a reply of Intel's has the chain of its signer (Intel PCS API v4). */
export const CHAIN_HEADERS = {
  'tcb-info': 'tcb-info-issuer-chain',
  'qe-identity': 'sgx-enclave-identity-issuer-chain',
} as const;

/** What a vendor's service, or a mirror of it, replied. Nothing of it is believed: `verify` checks it each time. */
export interface Reply {
  readonly url: string;
  readonly body: Buffer;
  readonly headers: Headers;
  readonly fetchedAtMs: number;
}

/** @throws DaasError `DAAS_TEE_COLLATERAL_UNREACHABLE` */
export async function get(url: string, { signal, nowMs }: RequestOptions): Promise<Reply> {
  try {
    // A vendor's service that sends its callers elsewhere is not the one that was named.
    const response = await fetchByProxy(url, { signal, redirect: 'error' });
    if (!response.ok) throw unreachable(url, `it replied ${response.status}`);
    return {
      url,
      body: await readBody(response.body ?? [], LONGEST_BYTES),
      headers: response.headers,
      fetchedAtMs: nowMs,
    };
  } catch (error) {
    if (error instanceof DaasError) throw error;
    throw unreachable(url, messageOf(error), error);
  }
}

export function itemOf(name: CollateralItem['name'], { url, body, fetchedAtMs }: Reply): CollateralItem {
  return { name, content: body, source: url, fetchedAtMs };
}

/** Intel sends the chain of the signer in a header, percent-encoded. */
export function chainIn(reply: Reply, header: string): string {
  const encoded = reply.headers.get(header);
  if (encoded === null) throw unreachable(reply.url, `its reply lacks the header ${header}`);
  return certificatesIn(reply, () => decodeURIComponent(encoded))
    .map(pemOf)
    .join('');
}

/** @param pem the text in which the reply has them; it may throw */
export function certificatesIn({ url }: Reply, pem: () => string): readonly Buffer[] {
  let found: readonly Buffer[];
  try {
    found = derOfPem(pem());
  } catch (cause) {
    throw unreachable(url, `the certificates of its reply cannot be read (${messageOf(cause)})`, cause);
  }
  if (found.length === 0) throw unreachable(url, 'its reply has no certificates');
  return found;
}

export function unreachable(url: string, why: string, cause?: unknown): DaasError {
  return new DaasError(
    'DAAS_TEE_COLLATERAL_UNREACHABLE',
    `collateral cannot be fetched from ${url}: ${why}. Try again later, or set a mirror`,
    { cause, isRetryable: true, details: { url } },
  );
}
