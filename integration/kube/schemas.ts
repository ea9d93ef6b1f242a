import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** CustomResourceDefinitions of others, from their makers' Go modules: with them a real API server judges every field. */
interface SchemaModule {
  readonly name: string;
  readonly version: string;
  /** Of the module's files, as go.sum has it. */
  readonly sum: string;
  readonly files: readonly string[];
}

const SCHEMAS: readonly SchemaModule[] = [
  {
    name: 'github.com/prometheus-operator/prometheus-operator',
    version: 'v0.85.0',
    sum: 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=',
    files: ['servicemonitors', 'prometheusrules'].map(
      (kind) => `example/prometheus-operator-crd/monitoring.coreos.com_${kind}.yaml`,
    ),
  },
  {
    // Of k3s, which installs a HelmChart by it.
    name: 'github.com/k3s-io/helm-controller',
    version: 'v0.16.17',
    sum: 'h1:VXMmXQmmTB49x6bnN/PsJUTVKHb0r69b+SffIDUTMTM=',
    files: ['pkg/crds/yaml/generated/helm.cattle.io_helmcharts.yaml'],
  },
];

/** The files of all of them, or why they cannot be had. */
export function findSchemas(): { readonly files: readonly string[] } | { readonly missing: string } {
  const files: string[] = [];
  for (const one of SCHEMAS) {
    const found = directoryOf(one);
    if ('missing' in found) return found;
    files.push(...one.files.map((file) => join(found.directory, file)));
  }
  return { files };
}

function directoryOf({
  name,
  version,
  sum,
}: SchemaModule): { readonly directory: string } | { readonly missing: string } {
  const { status, stdout, error } = spawnSync('go', ['mod', 'download', '-json', `${name}@${version}`], {
    // No module of ours: nothing of the clone is changed.
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: 300_000,
    env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' },
  });
  if (error) return { missing: 'needs Go, which fetches the schemas of others' };
  if (status !== 0) return { missing: `${name} cannot be fetched` };
  const { Dir, Sum } = JSON.parse(stdout) as { Dir: string; Sum: string };
  if (Sum !== sum) throw new Error(`${name}@${version} is ${Sum}, expected ${sum}`);
  return { directory: Dir };
}
