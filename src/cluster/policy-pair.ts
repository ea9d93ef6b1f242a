import type {
  V1LabelSelector,
  V1RuleWithOperations,
  V1ValidatingAdmissionPolicy,
  V1ValidatingAdmissionPolicyBinding,
  V1ValidatingAdmissionPolicySpec,
  V1Validation,
} from '@kubernetes/client-node';
import { MANAGED_BY, OURS } from './words.ts';

/** A policy and the binding that puts it in force. */
export interface PolicyPair {
  readonly policy: V1ValidatingAdmissionPolicy;
  readonly binding: V1ValidatingAdmissionPolicyBinding;
}

const managed = { [MANAGED_BY]: OURS };

type StrictBase = Pick<V1ValidatingAdmissionPolicySpec, 'failurePolicy' | 'matchConstraints'>;

/** Matching in full, with the values that the API server would fill in, so that what is read back can be compared. */
export function matching(
  rules: ReadonlyArray<Omit<V1RuleWithOperations, 'scope'>>,
  namespaceSelector: V1LabelSelector = {},
): StrictBase {
  return {
    failurePolicy: 'Fail',
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector,
      objectSelector: {},
      resourceRules: rules.map((rule) => ({ ...rule, scope: '*' })),
    },
  };
}

/** Of Kubernetes' first group. */
export const strict = (resources: string[], operations: string[]): StrictBase =>
  matching([{ apiGroups: [''], apiVersions: ['v1'], operations, resources }]);

/** Every resource of every group. */
export const everywhere = (operations: string[]): StrictBase =>
  matching([{ apiGroups: ['*'], apiVersions: ['*'], operations, resources: ['*/*'] }]);

/** No parameter: its informer can die for good, and an old list stays in force (kubernetes#133827). */
export function pair(name: string, spec: V1ValidatingAdmissionPolicySpec): PolicyPair {
  return {
    policy: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name, labels: managed },
      spec,
    },
    binding: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name, labels: managed },
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  };
}

/** A rule and the sentence for who breaks it. Without this reason the API server answers 422 in the place of 403. */
export const forbid = (message: string, expression: string, messageExpression?: string): V1Validation => ({
  expression,
  message,
  ...(messageExpression === undefined ? {} : { messageExpression }),
  reason: 'Forbidden',
});

/** A condition that matches kubelets, whatever they call themselves. */
export const byKubelet =
  "request.userInfo.username.startsWith('system:node:') || 'system:nodes' in request.userInfo.groups";

export function celText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

export const celList = (texts: readonly string[]): string => `[${texts.map(celText).join(', ')}]`;

/**
 * The same in every part that means something: key order, and members the API server shows or hides when they are
 * empty, do not count. An added rule, condition or exclusion does.
 */
export function isSameSpec(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  return JSON.stringify(tidy(value));
}

function tidy(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => tidy(item) ?? null);
  if (typeof value !== 'object' || value === null) return value === '' || value === null ? undefined : value;
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, tidy(inner)] as const)
    .filter(([, inner]) => inner !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
