import { expect, test } from 'vitest';
import { ConfigurationError } from '#base';
import { lookAtMachine } from './facts.ts';
import { PretendedMachine } from './machine.fixture.ts';
import { unitEnvironment, unitVariables } from './unit-environment.ts';

const variables = '/etc/systemd/system/k3s-agent.service.env';

test('a variable of the shell does not replace the unit’s: the service never sees it', async () => {
  await using machine = await PretendedMachine.withSystemd({
    [variables]: 'K3S_DAAS_CONFIG=/etc/unit.json\n',
  });
  const shell = { K3S_DAAS_CONFIG: '/home/me/other.json', PATH: '/usr/bin' };
  expect(await unitEnvironment(machine, shell)).toEqual({
    K3S_DAAS_CONFIG: '/etc/unit.json',
    PATH: '/usr/bin',
  });
  const facts = await lookAtMachine(machine, 'worker', { binDir: '/usr/local/bin', environment: shell });
  expect(unitVariables(facts, 'worker')).toEqual({ K3S_DAAS_CONFIG: '/etc/unit.json' });
});

test('only what another user may not read is passed over; a damaged record is not', async () => {
  await using machine = await PretendedMachine.withSystemd({ '/var/lib/k3s-daas-install/worker.json': '{' });
  await expect(unitEnvironment(machine, {})).rejects.toMatchObject({ code: 'DAAS_INSTALL_RECORD_DAMAGED' });
  machine.run = () => Promise.reject(new ConfigurationError('DAAS_INSTALL_NOT_ROOT', 'not as this user'));
  expect(await unitEnvironment(machine, { PATH: '/usr/bin' })).toEqual({ PATH: '/usr/bin' });
});
