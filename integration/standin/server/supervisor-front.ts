import { createServer, type ServerOptions } from 'node:https';
import { Lifetime } from '#base';
import { type ApiProxyOptions, openApiProxy, passOn } from './api-proxy.ts';
import { type Authority, caHash } from './authority.ts';
import { sendFailure } from './http.ts';
import { listen } from './listening.ts';
import { clusterOf, type PlainApiOptions, plainApi, startNodePasswords } from './real-cluster.ts';
import { createSupervisor } from './supervisor.ts';

export interface SupervisorFrontOptions extends ApiProxyOptions, PlainApiOptions {
  readonly clientCa: Authority;
  readonly dataDir: string;
  /** The operator's static token password. */
  readonly staticPassword: string;
  readonly host?: string;
  readonly port?: number;
  /** A password Secret without a Node is swept when it is older; k3s' 10 min unless given. */
  readonly passwordSweepMs?: number;
}

export interface SupervisorFront extends AsyncDisposable {
  /** Supervisor and Kubernetes API behind one address, as k3s has them. */
  readonly url: string;
  readonly caHash: string;
  close(): Promise<void>;
}

/**
 * The stand-in's supervisor in front of a real API server, on one port, as k3s serves both: a join runs end to end, and
 * what decides on the Node is the real thing. Requests to the API are passed on for the identity of the caller's client
 * certificate, fingerprint included, through the API server's own proxy headers.
 */
export async function startSupervisorFront(options: SupervisorFrontOptions): Promise<SupervisorFront> {
  const { serverCa, clientCa, dataDir, staticPassword } = options;
  const { host = '127.0.0.1', port = 0, passwordSweepMs = 600_000 } = options;
  const lifetime = new Lifetime();
  const api = plainApi(options);
  const proxy = openApiProxy(options, lifetime);
  let address = '';
  const supervisor = createSupervisor({
    cluster: clusterOf(api),
    serverCa,
    clientCa,
    staticPassword,
    dataDir,
    apiServers: () => [address],
    nowMs: () => Date.now(),
  });
  const server = createServer(await tlsOptions(serverCa, clientCa, host), (request, response) => {
    const path = new URL(request.url ?? '/', 'https://k3s').pathname;
    if (supervisor.isPath(path))
      supervisor.handle(request, response).catch((error: unknown) => sendFailure(response, error));
    else passOn(proxy, request, response);
  });
  address = `${host}:${await listen(server, { host, port, lifetime })}`;
  startNodePasswords(api, passwordSweepMs, lifetime);
  return {
    url: `https://${address}`,
    caHash: caHash(serverCa.certificate),
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

/** TLS as k3s serves it: a client may come without a certificate, and then has other credentials. */
async function tlsOptions(serverCa: Authority, clientCa: Authority, host: string): Promise<ServerOptions> {
  const serving = await serverCa.issue({
    commonName: 'k3s',
    usage: 'server',
    names: ['localhost', '127.0.0.1', 'kubernetes', host],
  });
  return {
    cert: serving.certificate,
    key: serving.key,
    ca: clientCa.certificate,
    requestCert: true,
    rejectUnauthorized: false,
    requestTimeout: 0,
  };
}
