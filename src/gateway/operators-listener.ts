import { constants } from 'node:crypto';
import type { Server } from 'node:net';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TLS_GROUPS, TLS_MINIMUM } from '#api';
import { type Connections, guardConnections } from '#infrastructure';
import { ApiProblem } from './api-problem.ts';
import { createOperatorApi, type OperatorApiOptions } from './operator-api.ts';
import { type Operator, operatorOf, readOperatorList } from './operator-list.ts';
import { mayCall } from './operator-roles.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';

interface OperatorsListenerOptions extends OperatorApiOptions {
  readonly tls: { readonly cert: string; readonly key: string };
  /** PEM: the authority of the operators' certificates, and no other. */
  readonly ca: string;
  /** `gateway.operators.directory`: its list is read anew for each request, so that a revocation counts at once. */
  readonly directory: string;
}

export interface OperatorsListener {
  readonly app: FastifyInstance;
  readonly connections: Connections;
  /** For the connections from now on. */
  changeTls(tls: OperatorsListenerOptions['tls']): void;
}

/**
 * The operator's API for other machines: HTTPS, where only a certificate of the operators' own authority opens a connection, and
 * its role says what may be asked. What the socket offers it offers too.
 */
export function createOperatorsListener(options: OperatorsListenerOptions): OperatorsListener {
  const { ca, directory, clock, audit } = options;
  const tlsRules = {
    ca,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: TLS_MINIMUM,
    ecdhCurve: TLS_GROUPS,
    // A session that is taken up again would show no certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const;
  const identify = async (request: FastifyRequest): Promise<Operator> => {
    const operator = await identityOf(request.raw.socket as TLSSocket, directory);
    const { method, routeOptions } = request;
    // An unknown path is answered as such.
    if (routeOptions.url === undefined || mayCall(operator.role, method, routeOptions.url)) return operator;
    audit.record('operator.refused', {
      operator: operator.name,
      role: operator.role,
      path: routeOptions.url,
    });
    throw new ApiProblem(
      'operator_refused',
      `${operator.name} has the role ${operator.role}, which may not do this`,
    );
  };
  const app = createOperatorApi({ ...options, remote: { https: { ...options.tls, ...tlsRules }, identify } });
  const handshakes = createRateLimit({ ratePerSecond: 5, burst: 40 });
  const connections = guardConnections(app.server as Server, {
    most: 64,
    mostOfOneKey: 16,
    mostOfOneOwner: 8,
    handshakeMs: 5_000,
    lifeMs: 60_000,
    keyOf: ({ remoteAddress }) => addressKey(remoteAddress ?? ''),
    admits: (address) => handshakes.take(address, clock.monotonicMs()) === 0,
  });
  // Only a certificate of our authority comes so far: strangers displace none of these.
  app.server.on('secureConnection', (socket: TLSSocket) => {
    const { subject = '' } = socket.getPeerX509Certificate() ?? {};
    connections.of(socket)?.keepFor(subject);
  });
  return {
    app,
    connections,
    changeTls(next) {
      (app.server as unknown as TlsServer).setSecureContext({ ...next, ...tlsRules });
    },
  };
}

async function identityOf(socket: TLSSocket, directory: string): Promise<Operator> {
  const certificate = socket.getPeerX509Certificate();
  if (!socket.authorized || socket.isSessionReused() || !certificate)
    throw new ApiProblem('operator_refused', 'show a certificate in a TLS session of its own');
  // TLS goes by the time of day of this machine too.
  const operator = operatorOf(certificate, await readOperatorList(directory), Date.now());
  if (typeof operator === 'string') throw new ApiProblem('operator_refused', operator);
  return operator;
}
