import { dirname, join } from 'node:path';
import { ConfigurationError, hostPort } from '#base';
import type { Settings } from '#infrastructure';
import type { GatewayKeyFiles } from './gateway-keys.ts';
import { type GatewaySettings, pathOf } from './settings.ts';

export type GatewaySection = GatewaySettings['gateway'];

/** The gateway's section with absolute paths: those in the file are relative to the file. */
export function gatewaySection(settings: Settings<GatewaySettings>): GatewaySection {
  const { gateway } = settings.value;
  const path = (name: string, value: string) => pathOf(settings, `gateway.${name}`) ?? value;
  const { socketPath, serverCaFile, attestation, state } = gateway;
  const { collateralFile } = attestation;
  const { policyFile, collateralFile: workersCollateral } = gateway.admit.attestation;
  return {
    ...gateway,
    tls: {
      certFile: path('tls.certFile', gateway.tls.certFile),
      keyFile: path('tls.keyFile', gateway.tls.keyFile),
    },
    stateDir: path('stateDir', gateway.stateDir),
    kubeconfig: path('kubeconfig', gateway.kubeconfig),
    state: {
      ...state,
      keys: absolute(path, 'state.keys', state.keys, ['file']),
      etcd: absolute(path, 'state.etcd', state.etcd, ['caFile', 'certFile', 'keyFile']),
    },
    tenants: { ...gateway.tenants, kubeconfig: path('tenants.kubeconfig', gateway.tenants.kubeconfig) },
    admit: {
      ...gateway.admit,
      attestation: {
        ...gateway.admit.attestation,
        ...(policyFile !== undefined && { policyFile: path('admit.attestation.policyFile', policyFile) }),
        ...(workersCollateral !== undefined && {
          collateralFile: path('admit.attestation.collateralFile', workersCollateral),
        }),
      },
    },
    attestation: {
      ...attestation,
      ...(collateralFile !== undefined && {
        collateralFile: path('attestation.collateralFile', collateralFile),
      }),
    },
    ...(socketPath !== undefined && { socketPath: path('socketPath', socketPath) }),
    ...(serverCaFile !== undefined && { serverCaFile: path('serverCaFile', serverCaFile) }),
  };
}

/** A part of the section whose members of these names are paths, or not set. */
function absolute<Part extends object>(
  path: (name: string, value: string) => string,
  at: string,
  part: Part,
  names: ReadonlyArray<keyof Part & string>,
): Part {
  const paths = names.flatMap((name) => {
    const value = part[name];
    return typeof value === 'string' ? [[name, path(`${at}.${name}`, value)]] : [];
  });
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
export function publicUrlOf({ listen, server }: GatewaySection): string {
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
