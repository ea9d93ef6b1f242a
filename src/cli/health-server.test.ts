import { expect, test } from 'vitest';
import { Lifetime } from '#base';
import { serveHealth } from './health-server.ts';

const health = () => ({ live: true, ready: true, parts: {} }) as never;

test('the health address of an IPv6 host is a URL that can be asked', async () => {
  await using life = new Lifetime();
  const url = await serveHealth(health, { host: '::1', port: 0 }, life);
  expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  const port = Number(new URL(url).port);
  await expect(serveHealth(health, { host: '::1', port }, life)).rejects.toThrow(`[::1]:${port}`);
});
