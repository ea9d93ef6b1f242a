import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The Prometheus operator's own schemas of a Kubernetes API server, from its Go module. */
const MODULE = 'github.com/prometheus-operator/prometheus-operator';
const VERSION = 'v0.85.0';
/** Of the module's files, as go.sum has it. */
const SUM = 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=';

/** The files of these kinds (`servicemonitors`), or why they cannot be had. */
export function prometheusSchemas(
  kinds: readonly string[],
): { readonly files: readonly string[] } | { readonly missing: string } {
  const { status, stdout, error } = spawnSync('go', ['mod', 'download', '-json', `${MODULE}@${VERSION}`], {
    // No module of ours: nothing of the clone is changed.
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: 300_000,
    env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' },
  });
  if (error) return { missing: 'needs Go, which fetches the schemas of the Prometheus operator' };
  if (status !== 0) return { missing: `${MODULE} cannot be fetched` };
  const { Dir, Sum } = JSON.parse(stdout) as { Dir: string; Sum: string };
  if (Sum !== SUM) throw new Error(`${MODULE}@${VERSION} is ${Sum}, expected ${SUM}`);
  const folder = join(Dir, 'example', 'prometheus-operator-crd');
  return { files: kinds.map((kind) => join(folder, `monitoring.coreos.com_${kind}.yaml`)) };
}
