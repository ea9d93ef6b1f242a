import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { setupManifests } from '#cluster';
import { makeChart } from '../../scripts/release/chart.ts';
import { KubernetesApi } from '../world/kubernetes.ts';
import { projectRoot } from '../world/program.ts';
import { findTools } from './helm.ts';
import { startRealWorld } from './real-world.ts';
import { findSchemas } from './schemas.ts';

const tools = findTools();
const plane = inject('controlPlane');
const missing = tools.kind === 'missing' ? tools.reason : plane.kind === 'missing' ? 'no API server' : '';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}
const manifestsIn = (text: string) =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((one) => one !== null);
const byName = (one: Manifest) => `${one.kind}/${one.metadata.namespace ?? ''}/${one.metadata.name}`;
const sorted = (manifests: readonly Manifest[]) =>
  manifests.toSorted((a, b) => (byName(a) < byName(b) ? -1 : 1));

describe.skipIf(missing !== '')(
  `the Helm chart, by helm and a real API server (${missing || 'they are here'})`,
  () => {
    const home = mkdtempSync(join(tmpdir(), 'k3s-daas-helm-'));
    afterAll(() => rmSync(home, { recursive: true }));
    const chart = join(projectRoot, 'deploy', 'chart');
    let world: Awaited<ReturnType<typeof startRealWorld>>;
    beforeAll(async () => {
      world = await startRealWorld();
    });
    afterAll(() => world[Symbol.asyncDispose]());

    function run(name: 'helm' | 'kubectl', args: readonly string[], input = ''): string {
      const directory = tools.kind === 'found' ? tools.directory : '';
      const env = {
        PATH: `${directory}:${process.env.PATH}`,
        HOME: home,
        KUBECONFIG: world.adminKubeconfigPath,
      };
      const { status, stdout, stderr } = spawnSync(join(directory, name), args, {
        encoding: 'utf8',
        env,
        input,
      });
      if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${stdout}${stderr}`);
      return stdout;
    }
    const template = (...more: string[]) =>
      run('helm', [
        'template',
        'gateway',
        chart,
        '--namespace',
        'kube-system',
        '--kube-version',
        '1.36.3',
        ...more,
      ]);

    test('helm lint finds nothing wrong', () => {
      expect(run('helm', ['lint', '--strict', chart])).toContain('0 chart(s) failed');
    });

    test('it has what gateway setup --print has, and one DaemonSet', () => {
      const rendered = manifestsIn(template());
      const isGateway = ({ kind }: Manifest) => kind === 'DaemonSet';
      expect(sorted(rendered.filter((one) => !isGateway(one)))).toEqual(
        sorted(manifestsIn(setupManifests())),
      );
      expect(rendered.filter(isGateway)).toHaveLength(1);
      expect(manifestsIn(template('--set', 'setup=false')).map(({ kind }) => kind)).toEqual(['DaemonSet']);
    });

    test('the plain manifest is the chart with its default values', () => {
      const plain = readFileSync(join(projectRoot, 'deploy/kubernetes/gateway.yaml'), 'utf8');
      expect(manifestsIn(template('--set', 'setup=false'))).toEqual(manifestsIn(plain));
    });

    test("k3s' own manifest carries the same chart", () => {
      const [, manifest = ''] = makeChart(home);
      const { kind, spec } = parse(readFileSync(manifest, 'utf8')) as {
        kind: string;
        spec: { chartContent: string };
      };
      expect(kind).toBe('HelmChart');
      const packed = join(home, 'carried.tgz');
      writeFileSync(packed, Buffer.from(spec.chartContent, 'base64'));
      const rendered = run('helm', [
        'template',
        'gateway',
        packed,
        '--namespace',
        'kube-system',
        '--kube-version',
        '1.36.3',
      ]);
      expect(manifestsIn(rendered)).toEqual(manifestsIn(template()));
    });

    test('what watches the gateway is what deploy/ has, and the API server takes it and the HelmChart by their makers’ schemas', async ({
      skip,
    }) => {
      const schemas = findSchemas();
      if ('missing' in schemas) skip(schemas.missing);
      const labels = ['--set', 'monitoring.labels.release=prometheus'];
      const enabled = ['monitoring', 'dashboard'].flatMap((name) => ['--set', `${name}.enabled=true`]);
      const rendered = template('--set', 'setup=false', ...enabled, ...labels);
      const found = manifestsIn(rendered) as Array<
        Manifest & { spec?: object; data?: Record<string, string> }
      >;
      const read = (path: string) => readFileSync(join(projectRoot, 'deploy', path), 'utf8');
      const of = (kind: string) => found.find((one) => one.kind === kind);
      expect(of('PrometheusRule')?.spec).toEqual(parse(read('prometheus/k3s-daas.rules.yaml')));
      expect(JSON.parse(of('ConfigMap')?.data?.['k3s-daas.json'] ?? '')).toEqual(
        JSON.parse(read('grafana/k3s-daas.json')),
      );
      expect(of('ServiceMonitor')?.metadata).toMatchObject({ labels: { release: 'prometheus' } });
      for (const file of 'files' in schemas ? schemas.files : [])
        run('kubectl', ['create', '--filename', file]);
      run('kubectl', ['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all']);
      const judge = ['apply', '--dry-run=server', '--validate=strict', '--filename'];
      run('kubectl', [...judge, '-'], rendered);
      // k3s' own HelmChart, too.
      run('kubectl', [...judge, makeChart(home)[1] ?? '']);
      expect(manifestsIn(template('--set', 'setup=false')).map(({ kind }) => kind)).toEqual(['DaemonSet']);
    });

    test('the API server takes every field of it, and helm installs, upgrades and removes it', async () => {
      // The namespaces are there only after the installation; kubectl checks the rest of the fields now.
      const withoutSetup = template('--set', 'setup=false');
      run('kubectl', ['apply', '--dry-run=server', '--validate=strict', '--filename', '-'], withoutSetup);
      const place = ['gateway', chart, '--namespace', 'kube-system'];
      run('helm', ['install', ...place]);
      using kubernetes = await KubernetesApi.fromKubeconfig(world.adminKubeconfigPath);
      const daemonSet = '/apis/apps/v1/namespaces/kube-system/daemonsets/k3s-daas-gateway';
      expect((await kubernetes.get(daemonSet)).status).toBe(200);
      const rights = '/apis/rbac.authorization.k8s.io/v1/clusterroles/k3s-daas-gateway';
      expect((await kubernetes.get(rights)).status).toBe(200);
      run('helm', ['upgrade', ...place, '--set', 'image.tag=next']);
      const { body } = await kubernetes.get(daemonSet);
      expect(body.spec.template.spec.containers[0].image).toBe('k3s-daas-gateway:next');
      run('helm', ['uninstall', 'gateway', '--namespace', 'kube-system']);
      expect((await kubernetes.get(rights)).status).toBe(404);
    });
  },
);
