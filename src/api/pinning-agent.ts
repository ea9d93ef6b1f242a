import type { X509Certificate } from 'node:crypto';
import { Agent, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { DaasError } from '#base';
import type { GatewayEntry } from '#domain';
import { proxyFor } from '#infrastructure';
import { isPinned, TLS_GROUPS, TLS_MINIMUM } from './tls.ts';
import { openTunnel } from './tunnel.ts';

export const KEY_NOT_ATTESTED = 'DAAS_GATEWAY_KEY_NOT_ATTESTED';

/** The other end of a connection. */
export interface Peer {
  readonly gateway: GatewayEntry;
  /** PEM of the CA that gateways without a pin on chain must be certified by. */
  readonly ca: string | undefined;
  readonly timeoutMs: number;
  /** Whether evidence was bound to this TLS key (SubjectPublicKeyInfo, DER); left out: none is asked for. */
  readonly isAttested?: ((spki: Uint8Array) => boolean) | undefined;
}

/** How often the kernel probes whether the peer of an idle connection is alive. */
const aliveProbeMs = 15_000;

/**
 * Hands out a connection only after its peer was checked, and keeps it for the next request: a handshake costs a gateway
 * more than three heartbeats. An idle one may be used for as long as the gateway allows (`Keep-Alive`), less a second.
 */
export class PinningAgent extends Agent {
  readonly #gateway: GatewayEntry;
  readonly #ca: string | undefined;
  readonly #timeoutMs: number;
  readonly #isAttested: Peer['isAttested'];

  constructor({ gateway, ca, timeoutMs, isAttested }: Peer) {
    super({ keepAlive: true, keepAliveMsecs: aliveProbeMs, maxFreeSockets: 1 });
    this.#gateway = gateway;
    this.#ca = ca;
    this.#timeoutMs = timeoutMs;
    this.#isAttested = isAttested;
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { host, port } = peerOf(options);
    const proxy = proxyFor(new URL(this.#gateway.url));
    if (!proxy) return this.#shakeHands(options, undefined, callback);
    openTunnel(proxy, { host, port }, this.#timeoutMs).then(
      (tunnel) => this.#shakeHands(options, tunnel, callback),
      callback as (error: Error) => void,
    );
    return undefined;
  }

  /** TLS to the gateway, over the tunnel of a proxy if there is one: the pin is held against the gateway's own key. */
  #shakeHands(
    options: RequestOptions,
    tunnel: Duplex | undefined,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const isPinnedGateway = this.#gateway.tlsPins.length > 0;
    const { host, port } = peerOf(options);
    const socket = connect({
      ...(tunnel ? { socket: tunnel } : { host, port }),
      servername: serverName(options.host ?? ''),
      minVersion: TLS_MINIMUM,
      ecdhCurve: TLS_GROUPS,
      // A pin names the key itself: who certified it does not matter then.
      rejectUnauthorized: !isPinnedGateway,
      ...(!isPinnedGateway && this.#ca !== undefined && { ca: this.#ca }),
    } as ConnectionOptions);
    const give = callback as ((error: Error | null, stream?: Duplex) => void) | undefined;
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      give?.(error);
    };
    const timer = setTimeout(() => fail(new Error('the TLS handshake took too long')), this.#timeoutMs);
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      const refusal = this.#refusal(socket);
      if (refusal) fail(refusal);
      else give?.(null, socket);
    });
    return undefined;
  }

  #refusal(socket: TLSSocket): DaasError | undefined {
    const gateway = this.#gateway;
    const certificate = socket.getPeerX509Certificate();
    const isPinnedKey = certificate !== undefined && isPinned(certificate, gateway.tlsPins);
    if (gateway.tlsPins.length > 0 && !isPinnedKey) return pinMismatch(gateway);
    if (!this.#isAttested) return undefined;
    // A resumed connection proves that its peer has a ticket, not that it has the key.
    const isShown = certificate !== undefined && !socket.isSessionReused();
    return isShown && this.#isAttested(spkiOf(certificate)) ? undefined : keyNotAttested(gateway);
  }
}

function peerOf({ host, port }: RequestOptions): { host: string; port: number } {
  return { host: host ?? 'localhost', port: Number(port ?? 443) };
}

/** SNI names no IP addresses (RFC 6066, section 3). */
function serverName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? '' : host;
}

function spkiOf(certificate: X509Certificate): Uint8Array {
  return certificate.publicKey.export({ type: 'spki', format: 'der' });
}

function keyNotAttested(gateway: GatewayEntry): DaasError {
  return new DaasError(
    KEY_NOT_ATTESTED,
    `the gateway ${gateway.id} at ${gateway.url} has another TLS key than its evidence was bound to`,
    { isRetryable: true, details: { gateway: gateway.id, url: gateway.url } },
  );
}

function pinMismatch(gateway: GatewayEntry): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_PIN_MISMATCH',
    `${gateway.url} does not hold the TLS key that the chain names for gateway ${gateway.id}: nothing was sent to it; if its key was changed, its operator has to register the new pin`,
    { details: { gateway: gateway.id, url: gateway.url } },
  );
}
