import { request } from 'node:http';
import type { z } from 'zod';
import { Problem } from '#api';
import { ConfigurationError, DaasError, displayText, gatewayErrorCode } from '#base';
import { readBody } from '#infrastructure';

/** One request to a running gateway on its operator's socket. Throws a refusal as `DAAS_GATEWAY_<CODE>`. */
export async function ask<T>(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  schema: z.ZodType<T>,
  body?: unknown,
): Promise<T> {
  const { status, text } = await send(socketPath, method, path, body);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  if (status === 200) {
    const reply = schema.safeParse(json);
    if (reply.success) return reply.data;
  }
  const problem = Problem.safeParse(json);
  if (problem.success)
    throw new DaasError(gatewayErrorCode(problem.data.code), displayText(problem.data.detail), {
      details: { status, reason: problem.data.code, requestId: problem.data.request_id },
    });
  throw new DaasError(
    'DAAS_GATEWAY_REPLY_INVALID',
    `what answers on ${socketPath} (HTTP ${status}) is not a gateway of this version`,
  );
}

/** The list of a hundred thousand nodes has about sixty megabytes. */
const longestReplyBytes = 256 * 1024 * 1024;

function send(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const outgoing = request(
    {
      socketPath,
      method,
      path,
      signal: AbortSignal.timeout(30_000),
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    },
    (incoming) => {
      readBody(incoming, longestReplyBytes).then(
        (bytes) => resolve({ status: incoming.statusCode ?? 0, text: bytes.toString('utf8') }),
        reject,
      );
    },
  );
  outgoing.once('error', (cause: NodeJS.ErrnoException) => reject(unreachable(socketPath, cause)));
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

function unreachable(socketPath: string, cause: NodeJS.ErrnoException): DaasError {
  if (cause.code === 'EACCES')
    return new ConfigurationError(
      'DAAS_GATEWAY_SOCKET_FORBIDDEN',
      `no permission to open the gateway's socket: ${socketPath}. Run this as the gateway's user or as root`,
      { cause },
    );
  return new DaasError(
    'DAAS_GATEWAY_SOCKET_UNREACHABLE',
    `no gateway answers on ${socketPath}. Check that it runs on this machine and that --socket is its gateway.socketPath`,
    { cause },
  );
}
