import { beforeEach, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import type { Tenant } from '#domain';
import { FakeClock, type LogRecord, RecordingLog, settled } from '#testing';
import type { Person } from './logins.ts';
import { createTenantDesk, type TenantDesk } from './tenant-desk.ts';

const person = (changes: Partial<Person> = {}): Person => ({
  wallet: '0x71',
  recordId: '0xb1',
  tier: 'basic',
  permissions: ['pods:read'],
  proofId: 'p',
  ...changes,
});

describe('the namespace of somebody who logs in', () => {
  let clock: FakeClock;
  let asked: Tenant[];
  let audit: string[];
  let logged: LogRecord[];
  let ensure: (tenant: Tenant) => Promise<readonly string[]>;
  let desk: TenantDesk;
  beforeEach(() => {
    clock = new FakeClock();
    asked = [];
    audit = [];
    logged = [];
    ensure = () => Promise.resolve([]);
    desk = createTenantDesk({
      keeper: {
        ensure: (tenant) => {
          asked.push(tenant);
          return ensure(tenant);
        },
      },
      roleOf: (permission) => (permission === 'pods:read' ? 'reader' : undefined),
      audit: { record: (event) => audit.push(event) },
      clock,
      log: new RecordingLog(logged),
    });
  });

  test('is made at the first login, and not asked about again at the next ones', async () => {
    await desk.welcome(person());
    await desk.welcome(person({ proofId: 'q' }));
    expect(asked).toEqual([
      {
        wallet: '0x71',
        recordId: '0xb1',
        tier: 'basic',
        roles: [{ permission: 'pods:read', role: 'reader' }],
      },
    ]);
  });

  test('is ready when the login is: the API server has its bindings a moment after they are made', async () => {
    ensure = () => Promise.resolve(['Namespace']);
    let isIn = false;
    const login = desk.welcome(person()).then(() => {
      isIn = true;
    });
    await settled();
    expect(audit).toEqual(['tenant.made']);
    await clock.advance(999);
    expect(isIn).toBe(false);
    await clock.advance(1);
    await login;
    expect(asked).toHaveLength(1);
  });

  test('follows another tier or permission, and is looked at again after ten minutes', async () => {
    await desk.welcome(person());
    await desk.welcome(person({ tier: 'standard' }));
    await desk.welcome(person({ tier: 'standard', permissions: ['pods:read', 'pods:write'] }));
    expect(asked).toHaveLength(3);
    await clock.advance(600_000);
    await desk.welcome(person({ tier: 'standard', permissions: ['pods:read', 'pods:write'] }));
    expect(asked).toHaveLength(4);
  });

  test('a permission without a role grants nothing', async () => {
    await desk.welcome(person({ permissions: ['pods:fly', 'pods:read'] }));
    expect(asked[0]?.roles).toEqual([{ permission: 'pods:read', role: 'reader' }]);
  });

  test('many logins at once make it once, and none waits for an API server that hangs', async () => {
    ensure = () => new Promise(() => undefined);
    let done = 0;
    const logins = Array.from({ length: 5 }, () => desk.welcome(person()).then(() => (done += 1)));
    await settled();
    expect(asked).toHaveLength(1);
    expect(done).toBe(0);
    await clock.advance(10_000);
    await Promise.all(logins);
    expect(done).toBe(5);
  });

  test('a failure lets the login through, and is tried again a little later', async () => {
    ensure = () => Promise.reject(new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'away', { isRetryable: true }));
    await desk.welcome(person());
    await desk.welcome(person());
    expect(asked).toHaveLength(1);
    expect(logged.map(({ message }) => message)).toEqual(['The namespace of a wallet could not be made']);
    await clock.advance(5_000);
    await desk.welcome(person());
    expect(asked).toHaveLength(2);
  });
});
