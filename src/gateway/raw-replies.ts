import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PROBLEM_TYPE, PROBLEMS, type ProblemCode } from '#api';
import type { Clock } from '#base';
import { newRequestId, problemBody } from './http.ts';
import type { PublicConnections } from './public-connections.ts';

interface RawContext {
  readonly connections: PublicConnections;
  readonly clock: Clock;
}

/** How long a peer may take to end a connection after the gateway has. */
const endTimeoutMs = 2_000;

/** Answers where the framework has no request, and ends the connection. */
export function answerByHand(
  { connections, clock }: RawContext,
  socket: Duplex,
  { code, detail }: { readonly code: ProblemCode; readonly detail: string },
): void {
  const connection = connections.of(socket as Socket);
  const problem = problemBody(code, detail, { requestId: newRequestId(), nowMs: clock.nowMs() });
  const body = JSON.stringify(problem);
  const { status } = PROBLEMS[code];
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  if (connection) connection.cutAfter(endTimeoutMs);
  else socket.destroy();
}

/** For bytes that are not HTTP, or that came too slowly. Before the end of the TLS handshake nothing can be answered. */
export function answerBrokenRequest(
  context: RawContext,
  error: Error & { code?: string },
  socket: Socket,
): void {
  if (socket.writable && error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    answerByHand(context, socket, {
      code: 'request_timeout',
      detail: 'the request took too long to arrive',
    });
  } else if (socket.writable && error.code?.startsWith('HPE_')) {
    answerByHand(context, socket, { code: 'request_invalid', detail: 'this is not an HTTP request' });
  } else {
    context.connections.of(socket)?.cut();
    socket.destroy();
  }
}
