import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lifetime } from '#base';
import { clientCaOf, startRealK3s, startRealServer } from './real-k3s.ts';
import type { KubernetesWorld, SuiteWorld } from './suite-worlds.ts';

const binary = process.env.K3S_BIN ?? '';

/** A real `k3s server`: its supervisor, its API, its controllers. The agents of attacks and crashes are stand-ins. */
export const realServer: SuiteWorld = {
  name: 'a real k3s server (K3S_BIN)',
  isMissing: binary === '',
  startKubernetes: startServer,
  k3s: { startK3s: startRealServer(binary) },
};

async function startServer(): Promise<KubernetesWorld> {
  const life = new Lifetime();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-real-'));
    life.defer('directory', () => rm(directory, { recursive: true, force: true }));
    const k3s = await startRealK3s(binary)(directory, life);
    const clientCa = await clientCaOf(k3s);
    return {
      url: k3s.server,
      supervisorUrl: k3s.server,
      ca: await readFile(k3s.serverCaFile, 'utf8'),
      adminKubeconfigPath: k3s.kubeconfig,
      clientCertificate: (commonName, organizations = []) =>
        clientCa.issue({ commonName, organizations, usage: 'client' }),
      // Silent nodes are noticed after 40 to 50 s, pods without a node collected after 60 s at most.
      patienceMs: 90_000,
      [Symbol.asyncDispose]: () => life.close(),
    };
  } catch (error) {
    await life.close();
    throw error;
  }
}
