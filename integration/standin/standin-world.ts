import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubernetesWorld, SuiteWorld } from '../world/suite-worlds.ts';
import { startStandinServer } from './server/standin-server.ts';

export const standin: SuiteWorld = {
  name: 'the stand-in',
  isMissing: false,
  startKubernetes: startStandin,
  k3s: {},
};

/** The stand-in with controllers in a hurry. */
async function startStandin(): Promise<KubernetesWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'standin-'));
  const server = await startStandinServer({
    dataDir: directory,
    pace: { tickMs: 50, nodeGraceMs: 2_000, orphanPodMs: 1_000 },
  });
  return {
    url: server.url,
    supervisorUrl: server.url,
    ca: await readFile(server.serverCaPath, 'utf8'),
    adminKubeconfigPath: server.adminKubeconfigPath,
    clientCertificate: (commonName, organizations = []) =>
      server.clientCa.issue({ commonName, organizations, usage: 'client' }),
    patienceMs: 10_000,
    async [Symbol.asyncDispose]() {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}
