import { expect, test } from 'vitest';
import { nodePolicies } from './node-policies.ts';
import { gatewaySecretsPolicy, nodeNamesPolicy } from './policy.ts';
import { isSameSpec } from './policy-pair.ts';

/** As JSON: the client's types are classes. */
// biome-ignore lint/suspicious/noExplicitAny: taken apart and put together wrongly on purpose.
const plain = (value: unknown): Record<string, any> => JSON.parse(JSON.stringify(value));

test('every policy fails closed, denies, and takes no parameter, whose informer can die for good', () => {
  for (const { policy, binding } of [...nodePolicies(), gatewaySecretsPolicy('somebody')]) {
    expect(policy.spec?.failurePolicy).toBe('Fail');
    expect(binding.spec?.policyName).toBe(policy.metadata?.name);
    expect(binding.spec?.validationActions).toEqual(['Deny']);
    expect(policy.spec?.paramKind).toBeUndefined();
    expect(binding.spec?.paramRef).toBeUndefined();
  }
});

/** What the API server lets one expression cost, in checks of an authorizer (350 000 of 1 000 000). */
const mostChecks = 2;

test('no expression asks the authorizers more often than the API server lets it', () => {
  for (const { policy } of nodePolicies()) {
    const { variables = [], validations = [] } = policy.spec ?? {};
    for (const { expression } of [...variables, ...validations])
      expect(expression.split('.check(').length - 1, expression).toBeLessThanOrEqual(mostChecks);
  }
});

test('a spec that was read back is the same whatever the order of its members and whatever is empty in it', () => {
  const { spec } = plain(nodeNamesPolicy().policy);
  const readBack = {
    variables: spec?.variables,
    ...spec,
    auditAnnotations: [],
    matchConstraints: { ...spec?.matchConstraints, excludeResourceRules: null },
  };
  expect(isSameSpec(spec, readBack)).toBe(true);
});

test('anything that would weaken a policy makes it another one', () => {
  const { spec } = plain(nodeNamesPolicy().policy);
  const binding = plain(nodeNamesPolicy().binding);
  const weaker = [
    { ...spec, failurePolicy: 'Ignore' },
    { ...spec, validations: spec?.validations?.slice(1) },
    { ...spec, matchConditions: [...(spec?.matchConditions ?? []), { name: 'never', expression: 'false' }] },
    {
      ...spec,
      matchConstraints: { ...spec?.matchConstraints, excludeResourceRules: [{ resources: ['nodes'] }] },
    },
    { ...spec, matchConstraints: { ...spec?.matchConstraints, objectSelector: { matchLabels: { a: 'b' } } } },
  ];
  for (const other of weaker) expect(isSameSpec(spec, other)).toBe(false);
  const weakerBindings = [
    { ...binding.spec, validationActions: ['Warn'] },
    { ...binding.spec, matchResources: { objectSelector: { matchLabels: { a: 'b' } } } },
    { ...binding.spec, policyName: 'another' },
  ];
  for (const other of weakerBindings) expect(isSameSpec(binding.spec, other)).toBe(false);
});

test('a user name cannot break out of the expression that it stands in', () => {
  const { policy } = gatewaySecretsPolicy("o'brien\\' || true || '");
  expect(policy.spec?.matchConditions?.[0]?.expression).toBe(
    "request.userInfo.username == 'o\\'brien\\\\\\' || true || \\''",
  );
});
