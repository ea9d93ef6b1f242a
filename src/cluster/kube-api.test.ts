import { createServer, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { loadKubeconfig } from './kube-api.ts';
import { openKubernetes } from './kubernetes.ts';
import { taintValue } from './node-taints.ts';

const kubeconfig = (server: string) => ({
  text: JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'default',
    clusters: [{ name: 'default', cluster: { server, 'insecure-skip-tls-verify': true } }],
    contexts: [{ name: 'default', context: { cluster: 'default', user: 'default' } }],
    users: [{ name: 'default', user: { token: 'planted-secret' } }],
  }),
});

/** A server that takes connections and never says a word. */
async function openSilence() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = (server.address() as { port: number }).port;
  return {
    url: `https://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test('an API server that says nothing is unavailable after the time-out, which is retryable', async () => {
  await using silence = await openSilence();
  await using cluster = openKubernetes({ kubeconfig: kubeconfig(silence.url), callTimeoutMs: 200 });
  await expect(cluster.node('w1')).rejects.toMatchObject({
    code: 'DAAS_CLUSTER_UNAVAILABLE',
    isRetryable: true,
    message: expect.stringContaining('no answer within 200 ms'),
  });
});

test('a caller that stops waiting gets its own reason', async () => {
  await using silence = await openSilence();
  await using cluster = openKubernetes({ kubeconfig: kubeconfig(silence.url) });
  const stop = new AbortController();
  const reading = cluster.node('w1', stop.signal);
  stop.abort(new Error('stopping'));
  await expect(reading).rejects.toThrow('stopping');
  await expect(cluster.node('w1', stop.signal)).rejects.toThrow('stopping');
});

test('an API server that is not there is unavailable, and the error holds no secret', async () => {
  const silence = await openSilence();
  await silence[Symbol.asyncDispose]();
  await using cluster = openKubernetes({ kubeconfig: kubeconfig(silence.url) });
  const error = await cluster.nodes().then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  expect(error).toMatchObject({ code: 'DAAS_CLUSTER_UNAVAILABLE', isRetryable: true });
  expect(inspect(error, { depth: 9 })).not.toContain('planted-secret');
});

test('a watch of an API server that is not there goes on trying until it is stopped', async () => {
  const silence = await openSilence();
  await silence[Symbol.asyncDispose]();
  await using cluster = openKubernetes({ kubeconfig: kubeconfig(silence.url) });
  await cluster.watchNodes(() => undefined, AbortSignal.timeout(300));
});

test('a kubeconfig that cannot be used is a configuration error that names it', () => {
  for (const source of [
    { path: '/nowhere/kubeconfig' },
    { text: 'clusters: [' },
    { text: 'apiVersion: v1\nclusters: []\nusers: []\ncontexts: []' },
  ])
    expect(() => loadKubeconfig(source)).toThrow(
      expect.objectContaining({ code: 'DAAS_KUBECONFIG_INVALID', exitCode: 78 }),
    );
  expect(() => loadKubeconfig({ path: '/nowhere/kubeconfig' })).toThrow('/nowhere/kubeconfig');
});

test.each([
  ['slashed', 'slashed'],
  ['stake slashed: by vote', 'stake-slashed-by-vote'],
  ['__x__', 'x'],
  ['…', ''],
  ['x'.repeat(70), 'x'.repeat(63)],
])('the reason %j fits a taint as %j', (reason, value) => {
  expect(taintValue(reason)).toBe(value);
});
