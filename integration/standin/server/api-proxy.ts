import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { Lifetime } from '#base';
import type { Authority, KeyPair } from './authority.ts';
import { certificateIdentity } from './credentials.ts';
import { sendFailure } from './http.ts';
import type { Identity } from './identity.ts';
import { Refusal } from './status.ts';

export interface ApiProxyOptions {
  /** The real API server. */
  readonly apiUrl: string;
  readonly serverCa: Authority;
  /** A client certificate that the API server takes for an authenticating proxy's (`--requestheader-client-ca-file`). */
  readonly frontProxy: KeyPair;
}

export interface ApiProxy {
  readonly apiUrl: string;
  /** Connections of the authenticating proxy, whose word on the caller's identity counts. */
  readonly proxyAgent: Agent;
  /** Connections without a certificate, for callers that bring a token of their own. */
  readonly bareAgent: Agent;
}

export function openApiProxy(
  { apiUrl, serverCa, frontProxy }: ApiProxyOptions,
  lifetime: Lifetime,
): ApiProxy {
  const proxyAgent = new Agent({
    ca: serverCa.certificate,
    cert: frontProxy.certificate,
    key: frontProxy.key,
    keepAlive: true,
  });
  const bareAgent = new Agent({ ca: serverCa.certificate, keepAlive: true });
  lifetime.defer('connections', () => {
    proxyAgent.destroy();
    bareAgent.destroy();
  });
  return { apiUrl, proxyAgent, bareAgent };
}

/** Passes a request on to the API server, for the identity of the caller's client certificate if there is one. */
export function passOn(
  { apiUrl, proxyAgent, bareAgent }: ApiProxy,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const identity = certificateIdentity(request);
  const upstream = httpsRequest(
    new URL(request.url ?? '/', apiUrl),
    {
      method: request.method ?? 'GET',
      headers: passedHeaders(request, identity),
      agent: identity ? proxyAgent : bareAgent,
    },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    },
  );
  // Not `once`: what is piped after the first error brings a second one.
  upstream.on('error', (error) =>
    sendFailure(
      response,
      new Refusal(503, 'ServiceUnavailable', `the API server cannot be reached: ${error.message}`),
    ),
  );
  response.once('close', () => upstream.destroy());
  request.pipe(upstream);
}

const credentialHeader = 'x-remote-extra-authentication.kubernetes.io%2fcredential-id';

type Headers = Record<string, string | string[] | undefined>;

function passedHeaders(request: IncomingMessage, identity: Identity | undefined): Headers {
  const headers: Headers = {};
  // A caller that could send the proxy headers itself could take any identity.
  for (const [name, value] of Object.entries(request.headers))
    if (!name.startsWith('x-remote-') && name !== 'host' && name !== 'connection') headers[name] = value;
  if (identity) {
    headers['x-remote-user'] = identity.username;
    headers['x-remote-group'] = identity.groups.filter((group) => group !== 'system:authenticated');
    // What the API server itself would have added for this certificate, and what the policies ask for.
    if (identity.fingerprint !== undefined) headers[credentialHeader] = `X509SHA256=${identity.fingerprint}`;
    delete headers.authorization;
  }
  return headers;
}
