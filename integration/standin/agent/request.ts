import { request as httpsRequest } from 'node:https';

export interface Ask {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** PEM; without it the CAs of the system count. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly isInsecure?: boolean;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** One request on a connection of its own, ten seconds at most. */
export function ask({
  url,
  method = 'GET',
  headers,
  body,
  ca,
  cert,
  key,
  isInsecure,
  signal,
}: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timeout = AbortSignal.timeout(10_000);
    const request = httpsRequest(
      url,
      {
        method,
        agent: false,
        headers: { ...headers, ...(body ? { 'content-length': String(Buffer.byteLength(body)) } : {}) },
        ...(ca ? { ca } : {}),
        ...(cert && key ? { cert, key } : {}),
        rejectUnauthorized: !isInsecure,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
