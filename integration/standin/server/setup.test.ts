import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCluster, setupCluster } from '#cluster';
import { type StandinServer, startStandinServer } from './standin-server.ts';

let directory: string;
let server: StandinServer;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'standin-'));
  server = await startStandinServer({ dataDir: directory, serverNode: 'server-0' });
});
afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

test('setup prepares the stand-in, proves the policy, and finds nothing to do the second time', async () => {
  const kubeconfig = { path: server.adminKubeconfigPath };
  const planned = await setupCluster({ kubeconfig, check: true });
  const first = await setupCluster({ kubeconfig });
  expect(planned.changes).toEqual(first.changes);
  const second = await setupCluster({ kubeconfig });
  expect(second.changes).toEqual([]);
  await using gateway = openCluster({ kubeconfig: { text: first.kubeconfig?.reveal() ?? '' } });
  expect(await gateway.policyState()).toEqual({ kind: 'in-place' });
  expect([...(await gateway.admittedNames())]).toEqual([['server-0', 'ordinary']]);
});
