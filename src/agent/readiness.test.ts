import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { probeReadiness } from './readiness.ts';

test('a health check that answers without end is cut off', async () => {
  let sentBytes = 0;
  const server = createServer((_request, response) => {
    const chunk = Buffer.alloc(64 * 1024);
    const more = () => {
      while (!response.destroyed) {
        sentBytes += chunk.length;
        if (!response.write(chunk)) break;
      }
    };
    response.on('drain', more);
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise((done) => server.close(() => done()));
  });
  const healthzUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/healthz`;
  const { signal } = new AbortController();
  expect(await probeReadiness({ healthzUrl, dataDir: '/nowhere', nodeId: 'w1' }, signal)).toEqual({
    isReady: false,
    isNodeRefused: false,
    detail: expect.stringContaining('the reply is longer than'),
  });
  // What the sockets of both sides hold comes on top of the bound.
  expect(sentBytes).toBeLessThan(16 * 1024 * 1024);
});
