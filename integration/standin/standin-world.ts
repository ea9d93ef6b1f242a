import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubernetesWorld } from './kubernetes-api.suite.ts';
import { startStandinServer } from './server/standin-server.ts';

/** The stand-in with controllers in a hurry. */
export async function standinWorld(): Promise<KubernetesWorld> {
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
