import { afterAll, beforeAll, expect, test } from 'vitest';
import { runOnce } from './world/program.ts';
import { World } from './world/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.start({ heartbeatIntervalMs: 300 });
});
afterAll(() => world?.close());

test('status shows a running worker, and what is left of one that was killed', async () => {
  const worker = await world.worker('shown');
  const status = (...flags: string[]) =>
    runOnce({
      name: 'status',
      args: ['status', '--config', worker.configFile, ...flags],
      logFile: `${worker.directory}/status.log`,
    });
  const before = await status('--json');
  expect(before.code).toBe(1);
  expect(before.lines[0]).toMatchObject({ running: false, offline: { nodeId: 'shown' } });

  const host = worker.start();
  await host.event('seal.read');
  await host.event('heartbeat.acknowledged');
  await host.event('agent.ready');
  const running = await status('--json');
  expect(running.lines[0]).toMatchObject({
    running: true,
    status: {
      nodeId: 'shown',
      stake: { stakeMist: '2000000000' },
      token: { epoch: '0', expiresAtEpoch: '30' },
      gateway: { gatewayUrl: world.gatewayUrl, incarnation: 1 },
      agent: { kind: 'ready' },
      attention: [],
    },
  });
  const screen = await status();
  expect(screen.tail).toContain('token      ends in 30 epochs');
  expect(screen.tail).toContain('Nothing needs you.');

  host.kill('SIGKILL');
  await host.exited;
  const after = await status();
  expect(after.code).toBe(1);
  expect(after.tail).toContain('the host does not run');
  expect(after.tail).toContain('with record 0x');
});
