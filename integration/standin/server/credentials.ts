import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Identity } from './identity.ts';

/** Secrets as the authenticators need them, wherever they are kept. */
export interface SecretData {
  readonly type: string;
  readonly isBeingDeleted: boolean;
  /** Decoded. */
  readonly data: Readonly<Record<string, string>>;
}

/** The identity of a client certificate that our client CA signed: user = CN, groups = every O. */
export function certificateIdentity(request: IncomingMessage): Identity | undefined {
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return undefined;
  const { subject, fingerprint256 } = socket.getPeerCertificate();
  if (!subject?.CN) return undefined;
  // Several values of one field come as a list; Node types them as one text.
  const organizations = [(subject.O ?? []) as string | string[]].flat();
  return {
    username: [subject.CN].flat()[0] ?? '',
    groups: [...organizations, 'system:authenticated'],
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

/** User and password of a Basic header. */
export function basicCredentials(request: IncomingMessage): { user: string; password: string } | undefined {
  const [, encoded] = /^Basic ([A-Za-z0-9+/=]+)$/.exec(request.headers.authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

export const bearerToken = (request: IncomingMessage): string | undefined =>
  /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];

/** A token of kubeadm's form, the only one that is looked up among the bootstrap Secrets. */
export function parseBootstrapToken(token: string): { id: string; secret: string } | undefined {
  const [, id, secret] = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(token) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/**
 * The API server's rules for bootstrap tokens: type, name, id and secret must fit, the usage must be allowed, it must
 * not have expired (an expiration that cannot be read has passed), nor be on its way out; an extra group that is not of
 * the family `system:bootstrappers:` spoils the token.
 */
export function bootstrapIdentity(
  token: { readonly id: string; readonly secret: string },
  secret: SecretData | undefined,
  nowMs: number,
): Identity | undefined {
  if (secret?.type !== 'bootstrap.kubernetes.io/token' || secret.isBeingDeleted) return undefined;
  const { data } = secret;
  if (data['token-id'] !== token.id || data['token-secret'] !== token.secret) return undefined;
  if (data['usage-bootstrap-authentication'] !== 'true') return undefined;
  if (data.expiration !== undefined && !(Date.parse(data.expiration) > nowMs)) return undefined;
  const extra = (data['auth-extra-groups'] ?? '').split(',').filter((group) => group !== '');
  if (!extra.every((group) => /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/.test(group)))
    return undefined;
  return {
    username: `system:bootstrap:${token.id}`,
    groups: ['system:bootstrappers', ...extra, 'system:authenticated'],
  };
}
