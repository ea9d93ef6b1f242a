import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { carryOut } from './carry-out.ts';
import { PretendedMachine, plainAgent } from './machine.fixture.ts';
import { workerPlan as plan, workerRemoval as removal } from './request.fixture.ts';

const record = '/var/lib/k3s-daas-install/worker.json';
const unitCopy = '/var/lib/k3s-daas-install/worker-2-k3s-agent.service';

async function takenOver(): Promise<PretendedMachine> {
  const machine = await PretendedMachine.withSystemd(plainAgent);
  machine.active.add('k3s-agent');
  await carryOut(machine, await plan(machine));
  return machine;
}

test.each([record, unitCopy])('%s that others can write puts nothing back', async (path) => {
  await using machine = await takenOver();
  await chmod(join(machine.root, path), 0o666);
  await expect(removal(machine, true)).rejects.toMatchObject({ code: 'DAAS_FILE_UNTRUSTED' });
});

test('a record that names a copy elsewhere is damaged', async () => {
  await using machine = await takenOver();
  const text = (await machine.text(record)) ?? '';
  expect(text).toContain(unitCopy);
  for (const other of ['/var/lib/k3s-daas-install/../../../tmp/unit', '/var/lib/k3s-daas-install/a/unit']) {
    await machine.put({ [record]: text.replace(unitCopy, other) });
    await expect(removal(machine, true)).rejects.toMatchObject({ code: 'DAAS_INSTALL_RECORD_DAMAGED' });
  }
});

test.each([
  '/opt/k3s-daas/k3s agent',
  '/usr/local/bin/k3s agent --node-label program=/usr/local/bin/k3s-daas',
])('a unit that runs `%s` is not ours to remove', async (command) => {
  const unit = { '/etc/systemd/system/k3s-agent.service': `[Service]\nExecStart=${command}\n` };
  await using machine = await PretendedMachine.withSystemd(unit);
  await expect(removal(machine, false)).rejects.toMatchObject({ code: 'DAAS_INSTALL_NOT_OURS' });
});
