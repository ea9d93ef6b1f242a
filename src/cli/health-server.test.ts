import { expect, test } from 'vitest';
import { Lifetime } from '#base';
import { serveHealth } from './health-server.ts';

const health = {
  health: () => ({ live: true, ready: false }),
  status: async () => ({ nodeId: 'worker-1', stake: { stakeMist: 5n } }),
} as never;

test('the health address of an IPv6 host is a URL that can be asked for liveness, readiness and status', async () => {
  await using life = new Lifetime();
  const url = await serveHealth(health, { host: '::1', port: 0 }, life);
  expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  expect((await fetch(`${url}/`)).status).toBe(404);
  expect(await (await fetch(`${url}/status`)).json()).toEqual({
    nodeId: 'worker-1',
    stake: { stakeMist: '5' },
  });
  const port = Number(new URL(url).port);
  await expect(serveHealth(health, { host: '::1', port }, life)).rejects.toThrow(`[::1]:${port}`);
});
