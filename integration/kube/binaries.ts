import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';

/** The programs of a control plane. */
export interface ControlPlaneBinaries {
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly etcd: string;
}

export type FoundBinaries =
  | { readonly kind: 'found'; readonly binaries: ControlPlaneBinaries }
  /** A sentence for each thing that is missing, with what to do about it. */
  | { readonly kind: 'missing'; readonly missing: readonly string[] };

const folder = import.meta.dirname;
const root = dirname(dirname(folder));

/**
 * The control plane's programs: those of `KUBEBUILDER_ASSETS` if it is set (the envtest convention), else built from
 * `go.mod` beside this file into `.cache/kube/<version>/` (some minutes, once), with etcd from the PATH.
 */
export async function findBinaries(say: (line: string) => void): Promise<FoundBinaries> {
  const assets = process.env.KUBEBUILDER_ASSETS;
  if (assets) return fromAssets(assets);
  const version = await kubernetesVersion();
  const directory = join(root, '.cache', 'kube', version);
  const etcd = onPath('etcd');
  const isBuilt = ['kube-apiserver', 'kube-controller-manager'].every((name) =>
    existsSync(join(directory, name)),
  );
  const missing = [
    ...(etcd ? [] : ['etcd is not on the PATH: apt-get install etcd-server, or set KUBEBUILDER_ASSETS']),
    ...(isBuilt ? [] : goProblem()),
  ];
  if (missing.length > 0 || !etcd) return { kind: 'missing', missing };
  if (!isBuilt) await build(directory, version, say);
  return {
    kind: 'found',
    binaries: {
      apiServer: join(directory, 'kube-apiserver'),
      controllerManager: join(directory, 'kube-controller-manager'),
      etcd,
    },
  };
}

function fromAssets(directory: string): FoundBinaries {
  const at = (name: string) => join(directory, name);
  // envtest's own bundles have no controller manager; without one nobody collects pods or cleans tokens.
  const missing = ['etcd', 'kube-apiserver', 'kube-controller-manager'].filter(
    (name) => !existsSync(at(name)),
  );
  if (missing.length > 0)
    return {
      kind: 'missing',
      missing: missing.map(
        (name) => `${name} is not in KUBEBUILDER_ASSETS (${directory}): add it, or unset the variable`,
      ),
    };
  const binaries = {
    apiServer: at('kube-apiserver'),
    controllerManager: at('kube-controller-manager'),
    etcd: at('etcd'),
  };
  return { kind: 'found', binaries };
}

async function kubernetesVersion(): Promise<string> {
  const text = await readFile(join(folder, 'go.mod'), 'utf8');
  const version = /^(?:require)?\s+k8s\.io\/kubernetes (v\S+)/m.exec(text)?.[1];
  if (!version) throw new Error(`${join(folder, 'go.mod')} does not require k8s.io/kubernetes`);
  return version;
}

function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));
}

function goProblem(): string[] {
  const advice = 'install Go 1.26 or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS';
  const asked = spawnSync('go', ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  });
  if (asked.error) return [`go is not on the PATH: ${advice}`];
  const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(asked.stdout) ?? [];
  const isNewEnough = Number(major) > 1 || (Number(major) === 1 && Number(minor) >= 26);
  return isNewEnough ? [] : [`the Go on the PATH is ${asked.stdout.trim()}: ${advice}`];
}

/** Builds into a folder of its own and moves it into place, so that a build that was stopped leaves nothing half-made. */
async function build(directory: string, version: string, say: (line: string) => void): Promise<void> {
  const sums = createHash('sha256')
    .update(await readFile(join(folder, 'go.sum')))
    .digest('hex');
  const unfinished = `${directory}.${sums.slice(0, 8)}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const about = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const flags = Object.entries(about).map(
    ([key, value]) => `-X k8s.io/component-base/version.${key}=${value}`,
  );
  const startedAtMs = performance.now();
  const minutes = () => ((performance.now() - startedAtMs) / 60_000).toFixed(1);
  say(
    `building kube-apiserver and kube-controller-manager ${version} from their Go modules: some minutes, once …`,
  );
  const progress = setInterval(() => say(`still building, ${minutes()} min so far …`), 30_000);
  try {
    await run('go', [
      'build',
      '-trimpath',
      '-ldflags',
      ['-s', '-w', ...flags].join(' '),
      '-o',
      `${unfinished}/`,
      'k8s.io/kubernetes/cmd/kube-apiserver',
      'k8s.io/kubernetes/cmd/kube-controller-manager',
    ]);
    await rm(directory, { recursive: true, force: true });
    await rename(unfinished, directory);
  } finally {
    clearInterval(progress);
    await rm(unfinished, { recursive: true, force: true });
  }
  say(`built in ${minutes()} min: ${directory}`);
}

function run(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' },
    });
    child.once('error', reject);
    child.once('close', (code, signal) =>
      code === 0
        ? resolve()
        : reject(new Error(`${program} ${args[0]} ended with ${signal ?? `code ${code}`}`)),
    );
  });
}
