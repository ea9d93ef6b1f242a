import {
  type ClusterParameters,
  GATEWAY_TIERS,
  type GatewayTier,
  isPermission,
  type SealToken,
} from '#domain';
import { LOGIN_CLOCK_LEEWAY_MS, LONGEST_LOGIN_LIFE_MS } from '#login';
import type { ParsedLogin } from './login-proof.ts';
import type { FormReason } from './proof.ts';
import {
  type ChainFacts,
  endedStake,
  type SignatureReason,
  type StakeReason,
  type TimeReason,
} from './verdict.ts';

/** Why the stake of a person does not let them in. */
export type PersonReason =
  | Exclude<
      StakeReason,
      'node_id_mismatch' | 'not_a_node_stake' | 'stake_short_after_slash' | 'permission_missing'
    >
  /** The stake of a node: its key registers a worker, and is nobody's login. */
  | 'not_a_person_stake';

export type LoginReason = FormReason | TimeReason | 'audience_mismatch' | SignatureReason | PersonReason;

/** Times and audience. A login proof can be shown again within its life: there is no memory of those that were. */
export function examineLogin(
  login: ParsedLogin,
  { nowMs, clusterId }: { readonly nowMs: number; readonly clusterId: string },
): TimeReason | 'audience_mismatch' | undefined {
  if (login.expiresAtMs <= nowMs) return 'proof_expired';
  if (login.issuedAtMs > nowMs + LOGIN_CLOCK_LEEWAY_MS) return 'proof_from_future';
  const lifeMs = login.expiresAtMs - login.issuedAtMs;
  if (lifeMs <= 0 || lifeMs > LONGEST_LOGIN_LIFE_MS) return 'proof_life_too_long';
  if (login.audience !== clusterId) return 'audience_mismatch';
  return undefined;
}

/** Whether stake and token are good for this wallet; the token is known to belong to the caller (`examineHolder`). */
export function examinePerson(
  wallet: string,
  { token, record, cluster, point }: ChainFacts,
): PersonReason | undefined {
  if (!record || !token || record.cluster !== cluster.id || record.id !== token.stakeId)
    return 'record_not_found';
  // First: up to here the wallet is what a stranger says.
  if (token.owner !== wallet || record.staker !== wallet) return 'owner_mismatch';
  if (record.stakeType === 'node') return 'not_a_person_stake';
  const ended = endedStake(record);
  if (ended) return ended;
  if (record.token === undefined) return 'token_revoked';
  if (record.token !== token.id) return 'token_superseded';
  if (point.epoch >= token.expiresAtEpoch) return 'token_expired';
  if (tierOf(cluster.parameters, record.stakeMist) === undefined) return 'stake_too_low';
  return undefined;
}

/** The tier that a stake reaches, by its name on chain; `undefined` below the first (`cluster::tier_of`). */
export function tierOf(
  { tiersMist }: Pick<ClusterParameters, 'tiersMist'>,
  stakeMist: bigint,
): GatewayTier | undefined {
  return GATEWAY_TIERS.findLast((_tier, index) => stakeMist >= (tiersMist[index] ?? stakeMist + 1n));
}

const EVERYTHING = '*:*';

/**
 * What a person may do now: the permissions that token and stake both have, each once. A token for everything has what the
 * stake still carries, and a stake for everything carries what the token names. Both lists come from the chain, where their
 * form is checked (`cluster::is_permission`); what has another form grants nothing.
 */
export function permissionsNow(
  { permissions: asked }: Pick<SealToken, 'permissions'>,
  {
    tiersMist,
    tierPermissions,
  }: {
    readonly tiersMist: readonly bigint[];
    readonly tierPermissions: ReadonlyArray<readonly string[]>;
  },
  stakeMist: bigint,
): readonly string[] {
  const carried = tierPermissions.filter(
    (_permissions, tier) => stakeMist >= (tiersMist[tier] ?? stakeMist + 1n),
  );
  const granted = carried.flat();
  const both = [
    ...asked.filter((permission) => covers(granted, permission)),
    ...granted.filter((permission) => covers(asked, permission)),
  ];
  return [...new Set(both)].filter(isPermission);
}

/** `cluster::covers` */
const covers = (permissions: readonly string[], permission: string) =>
  permissions.includes(permission) || permissions.includes(EVERYTHING);
