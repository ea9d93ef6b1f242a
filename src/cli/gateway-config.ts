import { dirname, join, resolve } from 'node:path';
import { ConfigurationError, hostPort } from '#base';
import type { Settings } from '#infrastructure';
import type { GatewayKeyFiles } from './gateway-keys.ts';
import { type GatewaySettings, pathOf, rowOf } from './settings.ts';

export type GatewaySection = GatewaySettings['gateway'];

/** The gateway's section with absolute paths: those in the file are relative to the file. */
export function gatewaySection(settings: Settings<GatewaySettings>): GatewaySection {
  const { gateway } = settings.value;
  const { state, admit } = gateway;
  return {
    ...absolute(settings, 'gateway', gateway, ['stateDir', 'kubeconfig', 'socketPath', 'serverCaFile']),
    listen: absolute(settings, 'gateway.listen', gateway.listen, ['proxySocket']),
    operators: absolute(settings, 'gateway.operators', gateway.operators, ['directory']),
    tls: absolute(settings, 'gateway.tls', gateway.tls, ['certFile', 'keyFile']),
    state: {
      ...state,
      keys: absoluteKeys(settings, state.keys),
      etcd: absolute(settings, 'gateway.state.etcd', state.etcd, ['caFile', 'certFile', 'keyFile']),
    },
    tenants: absolute(settings, 'gateway.tenants', gateway.tenants, ['kubeconfig']),
    admit: {
      ...admit,
      attestation: absolute(settings, 'gateway.admit.attestation', admit.attestation, [
        'policyFile',
        'collateralFile',
      ]),
    },
    attestation: absolute(settings, 'gateway.attestation', gateway.attestation, ['collateralFile']),
  };
}

type KeySettings = GatewaySection['state']['keys'];

function absoluteKeys(settings: Settings<GatewaySettings>, keys: KeySettings): KeySettings {
  const { earlier, snp, kms } = keys;
  const at = 'gateway.state.keys';
  return {
    ...absolute(settings, at, keys, ['file']),
    ...(snp && { snp: absolute(settings, `${at}.snp`, snp, ['idsFile']) }),
    ...(kms && { kms: absolute(settings, `${at}.kms`, kms, ['file', 'credentialsFile']) }),
    ...(earlier && { earlier: earlier.map((source) => resolved(settings, source)) }),
  };
}

/** A list is one setting, so its members have no rows of their own. */
function resolved<Source extends Omit<KeySettings, 'earlier'>>(
  settings: Settings<GatewaySettings>,
  source: Source,
): Source {
  const isInFile = rowOf(settings, 'gateway.state.keys.earlier').origin.startsWith('file ');
  const path = (text: string) => (isInFile ? resolve(settings.directory, text) : resolve(text));
  const { file, snp, kms } = source;
  return {
    ...source,
    ...(file !== undefined && { file: path(file) }),
    ...(snp && { snp: { ...snp, idsFile: path(snp.idsFile) } }),
    ...(kms && { kms: { ...kms, file: path(kms.file), credentialsFile: path(kms.credentialsFile) } }),
  };
}

/** A part of the settings whose members of these names are paths, or not set. */
function absolute<Part extends object>(
  settings: Settings<unknown>,
  at: string,
  part: Part,
  names: ReadonlyArray<keyof Part & string>,
): Part {
  const paths = names
    .filter((name) => part[name] !== undefined)
    .map((name) => [name, pathOf(settings, `${at}.${name}`) ?? part[name]]);
  return { ...part, ...Object.fromEntries(paths) };
}

/** Throws `DAAS_GATEWAY_ID_MISSING`. */
export function withGatewayId(gateway: GatewaySection): GatewaySection & { readonly gatewayId: string } {
  const { gatewayId } = gateway;
  if (gatewayId === undefined)
    throw new ConfigurationError(
      'DAAS_GATEWAY_ID_MISSING',
      "gateway.gatewayId is not set: register the gateway on chain ('k3s-daas gateway setup' prints the command) and put the id there",
    );
  return { ...gateway, gatewayId };
}

/** The signing key lies beside the TLS key. */
export function keyFilesOf(tls: GatewaySection['tls']): GatewayKeyFiles {
  return { ...tls, signingKeyFile: join(dirname(tls.keyFile), 'signing.key') };
}

/** Where workers reach the gateway, as far as the configuration shows: where it listens, or else beside the k3s server. */
export function publicUrlOf({
  listen,
  server,
}: Pick<GatewaySection, 'server'> & {
  readonly listen: { readonly host: string; readonly port: number };
}): string {
  if (isEveryAddress(listen.host)) return `https://${new URL(server).hostname}:${listen.port}`;
  return `https://${hostPort(listen.host, listen.port)}`;
}

/** The names in the certificate of the public port. */
export function hostNamesOf(listenHost: string): readonly string[] {
  return [...new Set([...(isEveryAddress(listenHost) ? [] : [listenHost]), 'localhost', '127.0.0.1'])];
}

function isEveryAddress(listenHost: string): boolean {
  return listenHost === '0.0.0.0' || listenHost === '::';
}
