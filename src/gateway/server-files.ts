import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { createSecureContext } from 'node:tls';
import { isPinned } from '#api';
import { ConfigurationError, DaasError, type Log } from '#base';
import type { Cluster } from '#domain';
import { caHash, readBody, readTrusted, readTrustedText, type TrustRules } from '#infrastructure';

export interface TlsMaterial {
  /** PEM */
  readonly cert: string;
  readonly key: string;
}

/** @throws `DAAS_GATEWAY_TLS_UNREADABLE`, `DAAS_GATEWAY_TLS_INVALID`. */
export async function readTls(files: {
  readonly certFile: string;
  readonly keyFile: string;
}): Promise<TlsMaterial> {
  const cert = await readNamed(files.certFile, {
    what: 'the certificate of the gateway',
    origin: 'gateway.tls.certFile',
  });
  const key = await readNamed(files.keyFile, {
    what: 'the TLS key of the gateway',
    origin: 'gateway.tls.keyFile',
    exposedCode: 'DAAS_GATEWAY_KEY_EXPOSED',
  });
  try {
    new X509Certificate(cert);
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_GATEWAY_TLS_INVALID',
      `${files.certFile} (gateway.tls.certFile) holds no PEM certificate`,
      { cause },
    );
  }
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_GATEWAY_TLS_INVALID',
      `${files.keyFile} (gateway.tls.keyFile) is not the key of ${files.certFile} (gateway.tls.certFile): write both files before the gateway reads them`,
      { cause },
    );
  }
  return { cert, key };
}

async function readNamed(path: string, rules: TrustRules): Promise<string> {
  try {
    return await readTrustedText(path, rules);
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_GATEWAY_TLS_UNREADABLE',
      `${path} (${rules.origin}) cannot be read: create it, or check its owner and mode`,
      { cause },
    );
  }
}

/**
 * Compares this gateway with its entry on chain. Workers send nothing to a gateway with another key, and proofs name it by
 * its id there: a gateway that does not match its entry cannot work.
 * @throws `DAAS_GATEWAY_NOT_ON_CHAIN`, `DAAS_GATEWAY_PIN_MISMATCH`.
 */
export function checkOwnEntry(cluster: Cluster, gatewayId: string, cert: string, log: Log): void {
  const entry = cluster.gateways.find((gateway) => gateway.id === gatewayId);
  if (!entry)
    throw new ConfigurationError(
      'DAAS_GATEWAY_NOT_ON_CHAIN',
      `gateway ${gatewayId} (gateway.gatewayId) is not registered in cluster ${cluster.id} on chain: register it with 'k3s-daas cluster gateway add'. Registered are ${cluster.gateways.map(({ id }) => id).join(', ') || 'none'}`,
    );
  if (entry.tlsPins.length > 0 && !isPinned(new X509Certificate(cert), entry.tlsPins))
    throw new ConfigurationError(
      'DAAS_GATEWAY_PIN_MISMATCH',
      `the TLS key of this gateway is not one that the chain names for ${gatewayId}, so workers would refuse it: use the right key, or register the new pin`,
    );
  if (!entry.isLive)
    log.warn('The chain lists this gateway as not live: workers will not choose it', { gatewayId });
}

const caRules: TrustRules = { what: 'the CA of the k3s server', origin: 'gateway.serverCaFile' };

/**
 * `K10<hash>::`, the part of a join token by which a worker recognises its server: from the CA file, or from the server.
 * @throws `DAAS_SERVER_CA_UNREADABLE`.
 */
export async function joinTokenHead(
  { server, serverCaFile }: { readonly server: string; readonly serverCaFile?: string | undefined },
  log: Log,
): Promise<string> {
  const origin = serverCaFile ?? new URL('/cacerts', server).href;
  try {
    if (serverCaFile === undefined)
      log.warn('The server’s CA is taken from the server itself, unchecked', { detail: origin });
    const bundle =
      serverCaFile === undefined ? await fetchCaCerts(server) : await readTrusted(serverCaFile, caRules);
    return `K10${caHash(bundle)}::`;
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    const failure = serverCaFile === undefined ? DaasError : ConfigurationError;
    throw new failure(
      'DAAS_SERVER_CA_UNREADABLE',
      `the CA of the k3s server cannot be read from ${origin}: set gateway.serverCaFile to the server's server/tls/server-ca.crt`,
      { cause, isRetryable: serverCaFile === undefined },
    );
  }
}

/** A bundle of a dozen certificates has about twenty kilobytes. */
const longestCaBytes = 1024 * 1024;

/** As an agent without a hash does: the download is what will be trusted, so nothing can verify it. */
function fetchCaCerts(server: string): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const outgoing = request(
    new URL('/cacerts', server),
    { rejectUnauthorized: false, signal: AbortSignal.timeout(10_000) },
    (incoming) => {
      readBody(incoming, longestCaBytes).then((body) => {
        if (incoming.statusCode === 200) resolve(body);
        else reject(new Error(`HTTP ${incoming.statusCode}`));
      }, reject);
    },
  );
  outgoing.once('error', reject);
  outgoing.end();
  return promise;
}
