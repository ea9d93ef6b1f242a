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
import type { RefusalTally } from './refusal-tally.ts';

interface OperatorsListenerOptions extends OperatorApiOptions {
  readonly tls: { readonly cert: string; readonly key: string };
  /** PEM: the authority of the operators' certificates, and no other. */
  readonly ca: string;
  /** `gateway.operators.directory`: its list is read anew for each request, so that a revocation counts at once. */
  readonly directory: string;
  readonly refusals: Pick<RefusalTally, 'count'>;
}

export interface OperatorsListener {
  readonly app: FastifyInstance;
  readonly connections: Connections;
  /** For the connections from now on. */
  changeTls(tls: OperatorsListenerOptions['tls']): void;
}

/** Long enough for the reply. */
const refusedLifeMs = 1_000;

/**
 * The operator's API for other machines: HTTPS, where only a certificate of the operators' own authority opens a connection, and
 * its role says what may be asked. What the socket offers it offers too.
 */
export function createOperatorsListener(options: OperatorsListenerOptions): OperatorsListener {
  const { ca, directory, clock, refusals } = options;
  const requests = createRateLimit({ ratePerSecond: 5, burst: 200 });
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
    const { socket } = request.raw;
    const { operator, serial } = await identityOf(socket as TLSSocket, directory).catch((error: unknown) => {
      // What counts for nothing keeps no connection.
      connections.of(socket)?.cutAfter(refusedLifeMs);
      throw error;
    });
    const retryAfterMs = requests.take(operator.name, clock.monotonicMs());
    if (retryAfterMs > 0) throw new ApiProblem('rate_limited', 'too many requests', { retryAfterMs });
    // By its certificate: another one of the same name displaces none of its connections.
    connections.of(socket)?.keepFor(serial);
    const { method, routeOptions } = request;
    // An unknown path is answered as such.
    if (routeOptions.url === undefined || mayCall(operator.role, method, routeOptions.url)) return operator;
    const facts = { operator: operator.name, role: operator.role, path: routeOptions.url };
    refusals.count(
      'operator.refused',
      { reason: operator.role, subject: operator.name, path: routeOptions.url },
      facts,
    );
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
  return {
    app,
    connections,
    changeTls(next) {
      (app.server as unknown as TlsServer).setSecureContext({ ...next, ...tlsRules });
    },
  };
}

interface Identity {
  readonly operator: Operator;
  readonly serial: string;
}

async function identityOf(socket: TLSSocket, directory: string): Promise<Identity> {
  const certificate = socket.getPeerX509Certificate();
  if (!socket.authorized || socket.isSessionReused() || !certificate)
    throw new ApiProblem('operator_refused', 'show a certificate in a TLS session of its own');
  // TLS goes by the time of day of this machine too.
  const operator = operatorOf(certificate, await readOperatorList(directory), Date.now());
  if (typeof operator === 'string') throw new ApiProblem('operator_refused', operator);
  return { operator, serial: certificate.serialNumber };
}
