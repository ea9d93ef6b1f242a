import { expect, test } from 'vitest';
import { isPermission } from '#domain';
import { bindableRoles, PERMISSION_RULES, personRoles, roleOfPermission } from './person-roles.ts';

test('every shipped permission is one that the contracts take, and has a role that can be bound', () => {
  const names = personRoles().map(({ metadata }) => metadata?.name);
  for (const permission of Object.keys(PERMISSION_RULES)) {
    expect(isPermission(permission)).toBe(true);
    const role = roleOfPermission(permission);
    expect(names).toContain(role);
    expect(bindableRoles()).toContain(role);
    expect(role).not.toContain('/');
  }
  expect(new Set(names).size).toBe(names.length);
});

test('what is unknown grants nothing, and everything is the role admin', () => {
  expect(['nodes:write', 'pods:fly', 'constructor', '*:read'].map(roleOfPermission)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(roleOfPermission('*:*')).toBe('admin');
});

test('no role reaches what would lead out of a namespace', () => {
  const rules = personRoles().flatMap((role) => role.rules ?? []);
  const reached = rules.flatMap(({ resources }) => resources ?? []);
  for (const never of ['*', 'roles', 'rolebindings', 'serviceaccounts/token', 'nodes/proxy', 'namespaces'])
    expect(reached).not.toContain(never);
  expect(
    rules.flatMap(({ verbs }) => verbs).some((verb) => /^(\*|bind|escalate|impersonate)/.test(verb)),
  ).toBe(false);
});
