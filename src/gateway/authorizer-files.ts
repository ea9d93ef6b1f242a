import { X509Certificate } from 'node:crypto';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeWebhookKey, type WebhookTls } from '#authorizer';
import { MOST_BANNED_NAMES } from '#domain';
import { makeTrustedDirectory, readTrustedText, replaceFile } from '#infrastructure';
import type { Ban } from './bans.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { CERTIFICATE_LIFE_MS } from './name-history.ts';
import type { Worker } from './worker.ts';

/** The files that gateway and servers exchange, in `<stateDir>/authorizer`. */
export const AUTHORIZER_FILES = {
  serverCert: 'webhook.crt',
  serverKey: 'webhook.key',
  clientCert: 'api-server.crt',
  clientKey: 'api-server.key',
  banned: 'banned.json',
} as const;

export const authorizerDirectory = ({ stateDir }: Pick<RunnableGatewayConfig, 'stateDir'>): string =>
  join(stateDir, 'authorizer');

/** Reads the keys of the webhook and of the API server as its client; makes those that are missing. */
export async function webhookTls(config: Pick<RunnableGatewayConfig, 'stateDir'>): Promise<WebhookTls> {
  const directory = authorizerDirectory(config);
  makeTrustedDirectory(directory, { what: 'the directory of the authorizer', origin: 'gateway.stateDir' });
  const path = (name: keyof typeof AUTHORIZER_FILES) => join(directory, AUTHORIZER_FILES[name]);
  for (const role of ['server', 'client'] as const) {
    if (await exists(path(`${role}Cert`))) continue;
    const { cert, key } = await makeWebhookKey(role);
    await replaceFile(path(`${role}Key`), key, 0o600);
    await replaceFile(path(`${role}Cert`), cert, 0o644);
  }
  const read = (name: keyof typeof AUTHORIZER_FILES) =>
    readTrustedText(path(name), { what: 'a file of the authorizer', origin: 'gateway.stateDir' });
  return {
    cert: await read('serverCert'),
    key: await read('serverKey'),
    clientCert: await read('clientCert'),
  };
}

const BannedFile = z.strictObject({ names: z.array(z.string()) });

/** Reads which names every server refuses while no gateway answers. */
export function parseBannedFile(text: string): readonly string[] {
  return BannedFile.parse(JSON.parse(text)).names;
}

export async function writeBannedFile(
  config: Pick<RunnableGatewayConfig, 'stateDir'>,
  names: readonly string[],
): Promise<void> {
  const text = `${JSON.stringify({ names })}\n`;
  await replaceFile(join(authorizerDirectory(config), AUTHORIZER_FILES.banned), text, 0o644);
}

/** The names of banned nodes whose certificates can still live, the latest ban last. A worker that is admitted again is not one. */
export function bannedNames(
  bans: Iterable<Ban>,
  workerOf: (nodeId: string) => Worker | undefined,
  nowMs: number,
): readonly string[] {
  return [...bans]
    .filter(({ subject, sinceMs }) => subject === 'node_id' && sinceMs + CERTIFICATE_LIFE_MS > nowMs)
    .filter(({ value }) => !isIn(workerOf(value)))
    .sort((one, other) => one.sinceMs - other.sinceMs || (one.value < other.value ? -1 : 1))
    .map(({ value }) => value);
}

/** What is written for the servers: the names that were banned last, since the certificates of the others expire first. */
export function namesForServers(banned: readonly string[]): {
  readonly names: readonly string[];
  readonly leftOut: number;
} {
  const names = banned.slice(-MOST_BANNED_NAMES);
  return { names, leftOut: banned.length - names.length };
}

export function hasBannedFile(config: Pick<RunnableGatewayConfig, 'stateDir'>): Promise<boolean> {
  return exists(join(authorizerDirectory(config), AUTHORIZER_FILES.banned));
}

const isIn = (worker: Worker | undefined): boolean =>
  worker?.status.kind === 'joining' || worker?.status.kind === 'member';

const ServerCertificates = z.array(z.string().regex(/^[0-9a-f]{64}$/)).max(1_000);

/**
 * The fingerprints of the servers' own certificates for shared identities, as `k3s-daas gateway authorizer` writes them; none
 * while there is no such file.
 */
export async function serverFingerprints(path: string): Promise<readonly string[]> {
  if (!(await exists(path))) return [];
  const text = await readTrustedText(path, {
    what: 'the fingerprints of the server’s certificates',
    origin: 'gateway.authorizer.serverCertificates',
  });
  return ServerCertificates.parse(JSON.parse(text));
}

/** SHA-256 over the DER of a PEM certificate, as the API server names it. */
export function fingerprintOfPem(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
