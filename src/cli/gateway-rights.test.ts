import { expect, test } from 'vitest';
import type { ListedStake } from '#chain';
import { rightsOf } from './gateway-rights.ts';

const wallet = `0x${'71'.repeat(32)}`;
const SUI = 1_000_000_000n;
const tiers = [
  { stakeMist: SUI, permissions: ['pods:read', 'nodes:read', 'pods:fly'] },
  { stakeMist: 2n * SUI, permissions: ['pods:write'] },
  { stakeMist: 50n * SUI, permissions: ['*:*'] },
];

function stake(
  change: { stakeMist?: bigint; status?: string; permissions?: string[]; expiresAtEpoch?: bigint } = {},
) {
  const { stakeMist = SUI, status = 'active', permissions = ['pods:read', 'pods:write'] } = change;
  return {
    record: { staker: wallet, stakeType: 'user', stakeMist, status },
    token: { id: '0xa', permissions, expiresAtEpoch: change.expiresAtEpoch ?? 10n },
    cluster: { parameters: { tiers }, pending: undefined },
  } as unknown as ListedStake;
}
const now = { nowMs: 0, epoch: 5n, tenants: { enabled: true, roles: {} } };
const rows = (one: ListedStake, change: object = {}) =>
  rightsOf(one, { ...now, ...change }).map(({ permission, role, scope }) => [permission, role, scope]);
const own = `namespace seal-${'71'.repeat(20)}`;

test('each permission has its role and where it counts, and what is missing for those that the stake does not carry', () => {
  expect(rows(stake())).toEqual([
    ['pods:read', 'k3s-daas:pods:read', own],
    ['pods:write', 'k3s-daas:pods:write', 'nothing: the tier that grants it begins at 2 SUI'],
  ]);
  expect(rows(stake({ stakeMist: 2n * SUI }))[1]).toEqual(['pods:write', 'k3s-daas:pods:write', own]);
});

test('a token for everything has what the stake carries', () => {
  expect(rows(stake({ permissions: ['*:*'] })).map(([permission, , scope]) => [permission, scope])).toEqual([
    ['*:*', 'as far as the stake carries: the lines of this table'],
    ['pods:read', own],
    ['nodes:read', 'nothing in a namespace: bind the group seal:perm:nodes:read in the whole cluster'],
    ['pods:fly', 'nothing: no role is mapped to it (gateway.tenants.roles)'],
  ]);
});

test('the mapping of the configuration counts, and without namespaces the groups do', () => {
  const mapped = { tenants: { enabled: true, roles: { 'pods:read': 'my-reader', 'pods:write': null } } };
  expect(rows(stake({ stakeMist: 2n * SUI }), mapped)).toEqual([
    ['pods:read', 'my-reader', own],
    ['pods:write', undefined, 'nothing: no role is mapped to it (gateway.tenants.roles)'],
  ]);
  const off = { tenants: { enabled: false, roles: {} } };
  expect(rows(stake(), off)[0]?.[2]).toContain('what you bind to the group seal:perm:pods:read');
});

test.each([
  [stake({ status: 'unbonding' }), 'stake_unbonding'],
  [stake({ expiresAtEpoch: 5n }), 'the Seal token has expired'],
])('a stake or token that is over grants nothing', (one, why) => {
  expect(rightsOf(one, now).map(({ scope, isGranted }) => [scope, isGranted])).toEqual(
    Array(2).fill([`nothing: ${why}`, false]),
  );
});
