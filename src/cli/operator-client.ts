import type { X509Certificate } from 'node:crypto';
import { request } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import type { z } from 'zod';
import { isPinned, Problem, TLS_GROUPS, TLS_MINIMUM } from '#api';
import { ConfigurationError, DaasError, displayText, gatewayErrorCode, messageOf } from '#base';
import { readBody } from '#infrastructure';
import { type OperatorFile, readOperatorFile } from './operator-file.ts';

/** Which gateway a command of the operator is for. */
export interface GatewayPlace {
  /** Of a gateway on this machine. */
  readonly socket: string;
  /** The file with the certificate for one on another machine, which then is asked instead. */
  readonly operator?: string | undefined;
}

/** One request to a running gateway. Throws a refusal as `DAAS_GATEWAY_<CODE>`, such as `DAAS_GATEWAY_OPERATOR_REFUSED`. */
export async function ask<T>(
  place: GatewayPlace,
  method: 'GET' | 'POST',
  path: string,
  schema: z.ZodType<T>,
  body?: unknown,
): Promise<T> {
  const { status, text } = await send(place, method, path, body);
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
    `what answers on ${place.operator ?? place.socket} (HTTP ${status}) is not a gateway of this version`,
  );
}

/** The list of a hundred thousand nodes has about sixty megabytes. */
const longestReplyBytes = 256 * 1024 * 1024;

interface Reply {
  readonly status: number;
  readonly text: string;
}

const timeoutMs = 30_000;

async function send(place: GatewayPlace, method: string, path: string, body: unknown): Promise<Reply> {
  if (place.operator === undefined) {
    const { socket: socketPath } = place;
    return exchange({ socketPath }, { method, path, body }).catch((cause: NodeJS.ErrnoException) => {
      throw unreachable(socketPath, cause);
    });
  }
  const file = await readOperatorFile(place.operator, Date.now());
  const { hostname, port, host } = new URL(file.url);
  try {
    const socket = await openRemote(file, hostname, Number(port || 443));
    const headers = { host };
    return await exchange({ createConnection: () => socket, headers }, { method, path, body });
  } catch (cause) {
    throw cause instanceof DaasError ? cause : remoteFailure(file, cause);
  }
}

interface Question {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

type Way =
  | { readonly socketPath: string }
  | { readonly createConnection: () => TLSSocket; readonly headers: Record<string, string> };

function exchange(way: Way, { method, path, body }: Question): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const headers = {
    ...('headers' in way && way.headers),
    ...(body !== undefined && { 'content-type': 'application/json' }),
  };
  const outgoing = request(
    { ...way, method, path, headers, signal: AbortSignal.timeout(timeoutMs) },
    (incoming) => {
      readBody(incoming, longestReplyBytes).then(
        (bytes) => resolve({ status: incoming.statusCode ?? 0, text: bytes.toString('utf8') }),
        reject,
      );
    },
  );
  outgoing.once('error', reject);
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

/** Nothing is said before the gateway has shown the key that the file names: no authority is asked about it. */
function openRemote(file: OperatorFile, host: string, port: number): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const pins = file.gateway_pins.map((pin) => Buffer.from(pin, 'hex'));
  const socket = connect({
    host: host.replace(/^\[|\]$/g, ''),
    port,
    cert: file.certificate,
    key: file.key,
    minVersion: TLS_MINIMUM,
    ecdhCurve: TLS_GROUPS,
    rejectUnauthorized: false,
  });
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
  socket.once('error', reject);
  socket.once('secureConnect', () => {
    const shown: X509Certificate | undefined = socket.getPeerX509Certificate();
    if (shown && isPinned(shown, pins)) return resolve(socket);
    socket.destroy();
    reject(
      new ConfigurationError(
        'DAAS_OPERATOR_UNREACHABLE',
        `what answers at ${file.url} has another TLS key than the file of --operator names: check the URL; if the gateway has a new key, ask for a new file`,
      ),
    );
  });
  return promise;
}

function remoteFailure({ url, name }: OperatorFile, cause: unknown): DaasError {
  const { code = '' } = cause as NodeJS.ErrnoException;
  // With TLS 1.3 the gateway judges the certificate when this side takes the handshake for done.
  const isRefused = code.startsWith('ERR_SSL') || code === 'ECONNRESET' || code === 'EPIPE';
  return new DaasError(
    'DAAS_OPERATOR_UNREACHABLE',
    isRefused
      ? `the gateway at ${url} has ended the connection: its authority has not signed the certificate of ${name}, or it is too busy. Ask for a new file`
      : `no gateway answers at ${url}: ${messageOf(cause)}. Check that gateway.operators.listen is set there, and the way to it`,
    { cause, isRetryable: !isRefused },
  );
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
