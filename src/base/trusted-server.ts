import { httpsOriginProblem } from './https-origin.ts';

/** A Kubernetes server that the operator of a worker names, for a cluster that names none on chain. */
export interface TrustedServer {
  readonly servers: readonly string[];
  readonly caHashes: readonly Uint8Array[];
}

const form = /^(.*)#([0-9a-f]{64})$/i;

/** Why a text names no server with its CA hash; `undefined`: it does. */
export function trustedServerProblem(text: string): string | undefined {
  const [, url] = form.exec(text) ?? [];
  if (url === undefined)
    return 'expected https://host:6443#HASH, with the CA hash of the server in 64 hexadecimal digits';
  return httpsOriginProblem(url);
}

/** Reads `https://host:6443#HASH`, after {@link trustedServerProblem}. */
export function trustedServerOf(text: string): TrustedServer {
  const [, url = '', hash = ''] = form.exec(text) ?? [];
  return { servers: [url], caHashes: [Uint8Array.from(Buffer.from(hash, 'hex'))] };
}
