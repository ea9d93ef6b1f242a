import type { V1Variable } from '@kubernetes/client-node';
import { NAMES_GROUP } from './name-role.ts';

const credentialKey = 'authentication.kubernetes.io/credential-id';

/**
 * Fingerprint of the client certificate, 64 hex digits; empty for a caller without one, on Kubernetes before 1.32, and for
 * whoever impersonates. An impersonator with the right to `userextras`, and the front proxy, can forge it.
 */
export const credentialVariable: V1Variable = {
  name: 'credential',
  expression: `has(request.userInfo.extra) && '${credentialKey}' in request.userInfo.extra && size(request.userInfo.extra['${credentialKey}']) == 1 && request.userInfo.extra['${credentialKey}'][0].startsWith('X509SHA256=') ? request.userInfo.extra['${credentialKey}'][0].replace('X509SHA256=', '', 1) : ''`,
};

/** Asks the cluster's authorizers whether the caller holds this; all but `resource` and `verb` are CEL expressions. */
export function allowed({
  resource,
  namespace,
  name,
  verb,
  isExpression = false,
}: {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly verb: string;
  /** The verb is a CEL expression. */
  readonly isExpression?: boolean;
}): string {
  const asked = isExpression ? verb : `'${verb}'`;
  return `authorizer.group('${NAMES_GROUP}').resource('${resource}').namespace(${namespace}).name(${name}).check(${asked}).allowed()`;
}
