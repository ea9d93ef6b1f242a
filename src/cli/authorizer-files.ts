import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError, messageOf } from '#base';
import { AUTHORIZATION_FILE, authorizationFiles, hasBannedNames } from '#cluster';
import { isNodeId, MOST_BANNED_NAMES } from '#domain';
import { AUTHORIZER_FILES, authorizerDirectory, parseBannedFile } from '#gateway';
import { readBounded } from '#infrastructure';
import type { GatewaySection } from './gateway-config.ts';

/** The gateway's user wrote it and root reads it: nothing large, no link. */
const largestFileBytes = 1024 * 1024;

export const isWebhookKubeconfig = (path: string): boolean =>
  /(^|\/)webhook-[0-9a-f]{16}\.kubeconfig$/.test(path);

export interface AuthorizationSite {
  readonly config: GatewaySection;
  /** Where the API server's files go. */
  readonly directory: string;
  /** Kubernetes below 1.34. */
  readonly isOldServer: boolean;
}

/**
 * The API server's files as the gateway's keys and bans ask for. Whatever the gateway's user wrote, the files are ones with
 * which an API server starts: certificates and keys that fit, encoded here anew so that no other text of theirs gets in;
 * names that Nodes can have, a bounded number.
 * @throws `DAAS_GATEWAY_AUTHORIZER_FILE`
 */
export async function authorizationFilesOf({ config, directory, isOldServer }: AuthorizationSite) {
  const gatewayFiles = authorizerDirectory(config);
  const path = (name: keyof typeof AUTHORIZER_FILES) => join(gatewayFiles, AUTHORIZER_FILES[name]);
  const [cert, clientCert, clientKey, banned] = await Promise.all([
    readSmall(path('serverCert')),
    readSmall(path('clientCert')),
    readSmall(path('clientKey')),
    readBanned(path('banned'), directory),
  ]);
  const client = certificateIn(clientCert, path('clientCert'));
  return authorizationFiles({
    directory,
    webhook: {
      port: config.authorizer.port,
      cert: certificateIn(cert, path('serverCert')).toString(),
      clientCert: client.toString(),
      clientKey: keyOf(client, clientKey, path('clientKey')),
    },
    bannedNames: bannedNamesIn(banned, path('banned')),
    hasCacheSwitches: !isOldServer,
  });
}

/** The list of banned names. Once the server refuses names, a list that is missing is not an empty one: that would lift all bans. */
async function readBanned(path: string, directory: string): Promise<string> {
  const inForce = await readSmall(join(directory, AUTHORIZATION_FILE), '');
  const banned = await readSmall(path, hasBannedNames(inForce) ? '' : '{"names":[]}');
  if (banned === '')
    throw unusable(path, 'it is missing or empty, so it is not known which names are banned');
  return banned;
}

/** The first certificate of the file, of the one kind that the gateway makes. */
function certificateIn(pem: string, path: string): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (cause) {
    throw unusable(path, 'it holds no certificate', cause);
  }
  if (!isOnCurve(certificate.publicKey)) throw unusable(path, `its key is not one of ${curve}`);
  return certificate;
}

/** PKCS#8 PEM, as Node encodes it. */
function keyOf(certificate: X509Certificate, pem: string, path: string): string {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw unusable(path, 'it holds no private key', cause);
  }
  if (!isOnCurve(key)) throw unusable(path, `it is not a key of ${curve}`);
  if (!certificate.checkPrivateKey(key)) throw unusable(path, 'it is not the key of its certificate');
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** `makeWebhookKey` */
const curve = 'prime256v1';
const isOnCurve = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean =>
  asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === curve;

/** What is no name of a Node is left out: it would become part of an expression. */
function bannedNamesIn(text: string, path: string): readonly string[] {
  let names: readonly string[];
  try {
    names = parseBannedFile(text).filter(isNodeId);
  } catch (cause) {
    throw unusable(path, 'it is no list of names', cause);
  }
  if (names.length > MOST_BANNED_NAMES)
    throw unusable(path, `it bans ${names.length} names, and an API server takes ${MOST_BANNED_NAMES}`);
  return names;
}

function unusable(path: string, why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_GATEWAY_AUTHORIZER_FILE',
    `${path} cannot be used: ${why}. The server's files stay as they are; restart the gateway, and look at who wrote this file`,
    { cause },
  );
}

/** Reads a file of the gateway or of k3s; `otherwise` where it does not exist. */
export async function readSmall(path: string, otherwise?: string): Promise<string> {
  try {
    return (await readBounded(path, largestFileBytes, constants.O_NOFOLLOW)).toString('utf8');
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    if (isMissing && otherwise !== undefined) return otherwise;
    throw new ConfigurationError(
      'DAAS_GATEWAY_AUTHORIZER_FILE',
      `${path} cannot be read (${messageOf(cause)}): set gateway.authorizer.mode to observe or enforce, start the gateway once, and run this as root on the k3s server`,
      { cause },
    );
  }
}
