import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { guardConnections } from '#infrastructure';
import type { AccessTable } from './access-table.ts';
import { type Denial, judgeAccess } from './judge-access.ts';
import { noOpinionOf, readReview, refusalOf } from './review.ts';

export interface WebhookTls {
  readonly cert: string;
  readonly key: string;
  /** PEM of the one client certificate that is let in: the API server's. */
  readonly clientCert: string;
}

export interface WebhookOptions {
  readonly tls: WebhookTls;
  readonly table: AccessTable;
  /** Told of every refusal, and in `observe` of what would be one. */
  readonly onDenial: (denial: Denial) => void;
  /** Told of a request that is no review. */
  readonly onUnreadable: () => void;
}

/** Connections that have not shown the API server's certificate. */
const mostStrangers = 64;
/** What an API server sends has a few kilobytes; groups and extras of a user can add some. */
const bodyLimitBytes = 256 * 1024;

/**
 * The authorizer webhook: HTTPS for one client. It answers 200 whatever it is asked: the API server would repeat a 5xx, and
 * each repetition delays a request. What cannot be read gets no opinion.
 */
export function createWebhook({ tls, table, onDenial, onUnreadable }: WebhookOptions): Server {
  const prefix = randomBytes(4).toString('hex');
  let count = 0;
  const answer = (text: string): string => {
    const review = readReview(text);
    if (!review) {
      onUnreadable();
      return noOpinionOf('authorization.k8s.io/v1');
    }
    const denial = judgeAccess(review.request, table);
    if (!denial) return noOpinionOf(review.apiVersion);
    onDenial(denial);
    if (table.rules().mode !== 'enforce') return noOpinionOf(review.apiVersion);
    count += 1;
    return refusalOf(review.apiVersion, denial, `${prefix}-${count.toString(36)}`);
  };
  const server = createServer(
    {
      cert: tls.cert,
      key: tls.key,
      ca: tls.clientCert,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      // The API server keeps its connections: an idle one that we close could carry a question at that moment.
      keepAliveTimeout: 0,
      headersTimeout: 5_000,
      requestTimeout: 5_000,
    },
    (request, response) => take(request, response, answer),
  );
  // Anything on this machine can connect: what is not the API server makes room for it, and is gone when it shakes no hands.
  const connections = guardConnections(server, { most: mostStrangers, handshakeMs: 5_000 });
  server.on('secureConnection', (socket) => {
    if (socket.authorized) connections.of(socket)?.keepFor('the API server');
  });
  return server;
}

function take(request: IncomingMessage, response: ServerResponse, answer: (text: string) => string): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= bodyLimitBytes) chunks.push(chunk);
  });
  request.on('end', () => {
    const body = answer(bytes <= bodyLimitBytes ? textOf(chunks) : '');
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  });
}

/** Nearly every review comes in one piece. */
function textOf(chunks: readonly Buffer[]): string {
  const [first] = chunks;
  return (first && chunks.length === 1 ? first : Buffer.concat(chunks)).toString('utf8');
}
