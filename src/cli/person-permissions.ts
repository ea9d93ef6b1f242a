import { ConfigurationError } from '#base';
import { formatSui, type ParameterState, permissionsOf } from '#chain';
import { isPermission } from '#seal';

const EVERYTHING = '*:*';
/** `create_seal_token` takes no more. */
const mostPermissions = 16;

/**
 * The permissions of a token: those that were asked for, or all that the stake grants.
 * @throws `DAAS_PERMISSION_INVALID`, `DAAS_PERMISSION_ABOVE_TIER`.
 */
export function judgePermissions(
  asked: readonly string[] | undefined,
  parameters: ParameterState,
  stakeMist: bigint,
): readonly string[] {
  const granted = permissionsOf(parameters, stakeMist);
  const wanted = [...new Set(asked ?? granted.slice(0, mostPermissions))];
  for (const permission of wanted) {
    if (!isPermission(permission))
      throw new ConfigurationError(
        'DAAS_PERMISSION_INVALID',
        `--permission '${permission}' is not of the form resource:verb, such as pods:read, deployments.apps:write or pods/exec:create`,
        { details: { permission } },
      );
    if (!granted.includes(permission) && !granted.includes(EVERYTHING))
      throw aboveTier(permission, granted, parameters);
  }
  if (wanted.length > 0 && wanted.length <= mostPermissions) return wanted;
  throw new ConfigurationError(
    'DAAS_PERMISSION_INVALID',
    `a Seal token has between 1 and ${mostPermissions} permissions, not ${wanted.length}`,
  );
}

function aboveTier(
  permission: string,
  granted: readonly string[],
  { tiers }: ParameterState,
): ConfigurationError {
  const tier = tiers.find(
    ({ permissions }) => permissions.includes(permission) || permissions.includes(EVERYTHING),
  );
  const way = tier
    ? `the tier that grants it begins at ${formatSui(tier.stakeMist)}`
    : 'no tier of this cluster grants it';
  return new ConfigurationError(
    'DAAS_PERMISSION_ABOVE_TIER',
    `--permission '${permission}' is not granted to this stake, which grants ${granted.join(' ') || 'nothing'}: ${way}`,
    { details: { permission, granted } },
  );
}
