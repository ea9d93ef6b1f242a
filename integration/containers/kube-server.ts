import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startControlPlane } from '../kube/control-plane.ts';
import { startFrontOf } from '../kube/plane-front.ts';
import { kubeconfigText } from '../standin/server/kubeconfig.ts';

/**
 * A k3s server in a container: the real etcd, kube-apiserver and kube-controller-manager, and in front of them, on one port, the
 * stand-in's supervisor. It lays its files out as the stand-in does.
 */
const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string', default: '' },
    'bind-address': { type: 'string', default: '' },
    'api-server': { type: 'string', default: '' },
    'controller-manager': { type: 'string', default: '' },
    etcd: { type: 'string', default: '' },
  },
});
const dataDir = values['data-dir'];
const plane = await startControlPlane(
  { apiServer: values['api-server'], controllerManager: values['controller-manager'], etcd: values.etcd },
  // A silent Node is noticed after 8 s, as in the stand-in of these tests, and not after 50.
  { controllerFlags: ['--node-monitor-grace-period=8s', '--node-monitor-period=2s'] },
);
const front = await startFrontOf(plane, { host: values['bind-address'], port: 6443 });
const admin = await plane.clientCertificate('system:admin', ['system:masters']);
for (const folder of ['cred', 'tls']) await mkdir(join(dataDir, 'server', folder), { recursive: true });
const files = {
  'cred/admin.kubeconfig': kubeconfigText(front.url, plane.serverCa.certificate, admin),
  'tls/server-ca.crt': plane.serverCa.certificate,
};
for (const [name, text] of Object.entries(files))
  await writeFile(join(dataDir, 'server', name), text, { mode: 0o600 });
process.stderr.write('k3s is up and running\n');

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    void front
      .close()
      .then(() => plane.close())
      .finally(() => process.exit(0));
  });
