import { expect, test } from 'vitest';
import { carryOut } from './carry-out.ts';
import { lockInstallation } from './installation-lock.ts';
import { PretendedMachine, plainAgent } from './machine.fixture.ts';
import { workerPlan, workerRemoval } from './request.fixture.ts';

test('a second installation is refused until the first has ended', async () => {
  await using machine = await PretendedMachine.withSystemd(plainAgent);
  {
    await using held = await lockInstallation(machine, {});
    expect(held).toBeDefined();
    await expect(lockInstallation(machine, {})).rejects.toMatchObject({
      code: 'DAAS_LOCK_HELD',
      message: expect.stringContaining('the installation is in use'),
    });
    expect(await lockInstallation(machine, { dryRun: true })).toBeUndefined();
    await carryOut(machine, await workerPlan(machine));
    await carryOut(machine, await workerRemoval(machine, true));
  }
  await using again = await lockInstallation(machine, {});
  expect(again).toBeDefined();
});
