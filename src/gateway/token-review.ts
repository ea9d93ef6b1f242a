import { membersOf } from '#base';
import { ownGroup } from '#domain';
import type { Person } from './logins.ts';

/** The versions of TokenReview that an API server can ask in; the answer is in the one that was asked. */
const VERSIONS = ['authentication.k8s.io/v1', 'authentication.k8s.io/v1beta1'] as const;
type Version = (typeof VERSIONS)[number];

export interface TokenReview {
  readonly apiVersion: Version;
  readonly token: string;
}

/** A user as the API server is told of it (authentication.k8s.io, UserInfo). */
export interface ReviewedUser {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** Reads a TokenReview; `undefined` for anything else. */
export function readTokenReview(text: string): TokenReview | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { apiVersion, kind, spec } = membersOf(json);
  const version = VERSIONS.find((known) => known === apiVersion);
  const { token } = membersOf(spec);
  if (kind !== 'TokenReview' || version === undefined || typeof token !== 'string') return undefined;
  return { apiVersion: version, token };
}

const PREFIX = 'seal:';

/** The user of a person: `seal:<wallet>`, a group for the tier and two for each permission, everybody's and its own. */
export function userOfPerson(
  { wallet, recordId, tier, permissions, proofId }: Person,
  { checkedAtMs, revokedWithinMs }: { readonly checkedAtMs: number; readonly revokedWithinMs: number },
): ReviewedUser {
  return {
    username: `${PREFIX}${wallet}`,
    uid: recordId,
    groups: [
      `${PREFIX}tier:${tier}`,
      ...permissions.map((permission) => `${PREFIX}perm:${permission}`),
      ...permissions.map((permission) => ownGroup(wallet, permission)),
    ],
    extra: {
      'k3s-daas.io/stake-record': [recordId],
      'k3s-daas.io/tier': [tier],
      'k3s-daas.io/proof-id': [proofId],
      'k3s-daas.io/checked-at': [new Date(checkedAtMs).toISOString()],
      'k3s-daas.io/revoked-within': [`${Math.ceil(revokedWithinMs / 1_000)}s`],
    },
  };
}

/**
 * The answer for a user. It names no audience, so the API server takes its own: a login is for nothing else.
 * @throws `RangeError` for a name or group of Kubernetes itself (`system:…`): nothing on chain may become one.
 */
export function acceptedReview(apiVersion: Version, user: ReviewedUser): string {
  if ([user.username, ...user.groups].some((name) => !name.startsWith(PREFIX)))
    throw new RangeError(`a login is no user but ${PREFIX}…`);
  return reviewOf(apiVersion, { authenticated: true, user });
}

/**
 * The answer for a join credential: what Kubernetes itself would say of a bootstrap token (user and group of
 * bootstrap-token authentication). The one case in which a name of Kubernetes comes out, and nothing on chain is part of it.
 */
export function joiningReview(apiVersion: Version, id: string): string {
  if (!/^[a-z0-9]{6}$/.test(id)) throw new RangeError('the id of a join credential has six characters');
  const user = { username: `system:bootstrap:${id}`, groups: ['system:bootstrappers'] };
  return reviewOf(apiVersion, { authenticated: true, user });
}

/** The one answer to every token that does not count: the reason is in the audit file. */
export const refusedReview = (apiVersion: Version = VERSIONS[0]): string =>
  reviewOf(apiVersion, { authenticated: false });

const reviewOf = (apiVersion: Version, status: object): string =>
  JSON.stringify({ apiVersion, kind: 'TokenReview', status });
