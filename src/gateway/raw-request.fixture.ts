import { type Agent, request } from 'node:https';

export interface RawReply {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
  readonly json: Record<string, unknown>;
}

/** A request as any client can make it, byte for byte. */
export function raw(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    body?: string | Buffer;
    localAddress?: string;
    agent?: Agent;
  } = {},
): Promise<RawReply> {
  const { promise, resolve, reject } = Promise.withResolvers<RawReply>();
  const outgoing = request(
    url,
    {
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
      ...(options.localAddress !== undefined && { localAddress: options.localAddress }),
      rejectUnauthorized: false,
      agent: options.agent ?? false,
    },
    (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body,
          json: body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {},
        });
      });
    },
  );
  outgoing.once('error', reject);
  outgoing.end(options.body);
  return promise;
}
