import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { Lifetime } from '#base';
import { describeAgentJoin } from './standin/agent-join.suite.ts';
import { describeKubernetesPort } from './standin/cluster-port.suite.ts';
import { describeJoining } from './standin/join.suite.ts';
import { describeKubernetesApi, type KubernetesWorld } from './standin/kubernetes-api.suite.ts';
import { describeNodePolicy } from './standin/node-policy.suite.ts';
import { describeNodeWrites } from './standin/node-writes.suite.ts';
import { openAuthority } from './standin/server/authority.ts';
import { startRealK3s } from './world/real-k3s.ts';

/** The suites that describe the stand-in's server, at a real `k3s server` (K3S_BIN): its supervisor, its API, its controllers. */
const binary = process.env.K3S_BIN ?? '';

describe.skipIf(binary === '')('held to a real k3s server (K3S_BIN)', () => {
  let starting: Promise<KubernetesWorld> | undefined;
  /** One server for all: it takes longer to start than most of these tests to run. */
  const shared = async (): Promise<KubernetesWorld> => {
    starting ??= startServer();
    return { ...(await starting), [Symbol.asyncDispose]: async () => undefined };
  };
  afterAll(async () => (await starting)?.[Symbol.asyncDispose]());

  describeKubernetesApi('a real k3s server', shared);
  describeNodePolicy('a real k3s server', shared);
  describeNodeWrites('a real k3s server', shared);
  describeJoining('a real k3s server', shared);
  describeKubernetesPort('a real k3s server', shared);
  describeAgentJoin('a real k3s server', shared);
});

async function startServer(): Promise<KubernetesWorld> {
  const life = new Lifetime();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-real-'));
    life.defer('directory', () => rm(directory, { recursive: true, force: true }));
    const k3s = await startRealK3s(binary)(directory, life);
    const clientCa = await openAuthority(
      k3s.serverMachine.file('/var/lib/rancher/k3s/server/tls'),
      'client-ca',
    );
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
