import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { WebhookTls } from '#authorizer';
import { type Clock, errorFields, type Log } from '#base';
import { type Connections, guardConnections } from '#infrastructure';
import type { Logins } from './logins.ts';
import { acceptedReview, readTokenReview, refusedReview, userOfPerson } from './token-review.ts';

export interface TokenReviewOptions {
  readonly tls: WebhookTls;
  readonly logins: Logins;
  readonly clock: Clock;
  readonly log: Log;
  /** For how long an API server may go on with an answer. */
  readonly revokedWithinMs: number;
}

export interface TokenReviewListener {
  readonly server: Server;
  readonly connections: Connections;
}

/** The API server keeps what any bearer authenticator said for so long, besides what it keeps of this webhook. */
export const BEARER_CACHE_MS = 10_000;

/** A bearer token has at most a header's 16 KiB. */
const bodyLimitBytes = 64 * 1024;

/**
 * Where the API server asks whose bearer token it was shown (`--authentication-token-webhook-config-file`): HTTPS on loopback
 * for one client. It answers 200 whatever it is asked: the API server would repeat a 5xx or a 429 for seconds, before its caller's eyes.
 */
export function createTokenReviewListener(options: TokenReviewOptions): TokenReviewListener {
  const { tls } = options;
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
    (request, response) => take(options, request, response),
  );
  const connections = guardConnections(server, {
    most: 512,
    handshakeMs: 5_000,
    // A question is asked only after the handshake, which only the API server's key survives.
    lifeMs: 10_000,
  });
  server.on('request', (request: IncomingMessage) => connections.of(request.socket)?.keepFor('api-server'));
  return { server, connections };
}

function take(options: TokenReviewOptions, request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= bodyLimitBytes) chunks.push(chunk);
  });
  request.on('end', () => {
    const text = bytes <= bodyLimitBytes ? Buffer.concat(chunks).toString('utf8') : '';
    void answer(options, text).then((body) => {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      });
      response.end(body);
    });
  });
}

/** Never rejects: what fails in here is no login. */
async function answer(
  { logins, clock, log, revokedWithinMs }: TokenReviewOptions,
  text: string,
): Promise<string> {
  const review = readTokenReview(text);
  try {
    const person = review && (await logins.personOf(review.token));
    if (!review || !person) return refusedReview(review?.apiVersion);
    return acceptedReview(
      review.apiVersion,
      userOfPerson(person, { checkedAtMs: clock.nowMs(), revokedWithinMs }),
    );
  } catch (error) {
    log.error('A login could not be judged', errorFields(error));
    return refusedReview(review?.apiVersion);
  }
}
