import { OPERATOR_PATHS } from './operator-wire.ts';

/** What an operator on another machine may do: look, or also act. */
export const OPERATOR_ROLES = ['view', 'operate'] as const;
export type OperatorRole = (typeof OPERATOR_ROLES)[number];

/** Every route of the operator's API with the least role that may call it. A route that is not here nobody calls from afar. */
export const ROUTE_ROLES: Readonly<Record<string, OperatorRole>> = {
  [`GET ${OPERATOR_PATHS.nodes}`]: 'view',
  [`GET ${OPERATOR_PATHS.why}:name`]: 'view',
  [`GET ${OPERATOR_PATHS.bans}`]: 'view',
  [`GET ${OPERATOR_PATHS.breaker}`]: 'view',
  [`POST ${OPERATOR_PATHS.evict}`]: 'operate',
  [`POST ${OPERATOR_PATHS.ban}`]: 'operate',
  [`POST ${OPERATOR_PATHS.unban}`]: 'operate',
  [`POST ${OPERATOR_PATHS.release}`]: 'operate',
  [`POST ${OPERATOR_PATHS.unlock}`]: 'operate',
  [`POST ${OPERATOR_PATHS.breaker}`]: 'operate',
};

/** By method and route, `/v1/why/:name`; the path of a request can be written in more than one way. */
export function mayCall(role: OperatorRole, method: string, route: string): boolean {
  const key = `${method} ${route}`;
  const least = Object.hasOwn(ROUTE_ROLES, key) ? ROUTE_ROLES[key] : undefined;
  return least !== undefined && (role === 'operate' || least === 'view');
}
