import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { units } from '../../src/install/index.ts';
import { root, version } from './artefact.ts';
import { MINUTE_MS, outcomeOfChild, outputOf } from './child.ts';
import { debianName } from './node-packages.ts';
import { type ProgramOptions, stageProgram } from './tarball.ts';

const LIBRARY = '/usr/lib/k3s-daas';
const PROGRAM = '/usr/bin/k3s-daas';

/** The time of every file, in seconds: the same sources give the same bytes. Debian takes none before 1984. */
const MADE_AT = Date.UTC(2026, 0, 1) / 1000;

const control = (architecture: string, sizeKib: number) => `Package: k3s-daas
Version: ${version}
Architecture: ${architecture}
Maintainer: K3s-DaaS <noreply@k3s-daas.io>
Installed-Size: ${sizeKib}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6
Suggests: k3s
Section: admin
Priority: optional
Description: joins workers to a k3s cluster by a stake on the Sui blockchain
 A worker locks SUI in a contract, proves to the gateway of the cluster that
 it has done so, and runs the unmodified k3s agent. A slashed stake removes
 its Node from the cluster within seconds.
 .
 The package brings the program for workers and gateways with its own Node.
 It starts nothing and enables no unit: a worker spends money. Run
 "k3s-daas install" when the configuration is in place.
`;

const settings = `# Variables of the units k3s-agent and k3s-daas-gateway of K3s-DaaS, read by systemd. All settings:
# k3s-daas config --help
#K3S_DAAS_CONFIG=/etc/k3s-daas/k3s-daas.yaml
#HTTPS_PROXY=http://proxy.example:3128
`;

/** What lintian finds and is meant so, with the reason. */
const overrides = `# The program runs on the Node that it was tested with, byte for byte as its makers released it.
k3s-daas: unstripped-binary-or-object [usr/lib/k3s-daas/node_modules/*/bin/node]
k3s-daas: embedded-library *
k3s-daas: hardening-no-fortify-functions *
k3s-daas: hardening-no-pie *
# Shell completions and the program find their files relative to the package, as npm lays it out.
k3s-daas: extra-license-file *
k3s-daas: package-contains-documentation-outside-usr-share-doc *
# It is no part of Debian and closes none of its bugs.
k3s-daas: initial-upload-closes-no-bugs *
# systemd restarts a host that ended by a failure; the service that stakes is not started by a package.
k3s-daas: systemd-service-file-refers-to-unusual-wantedby-target *
`;

/**
 * Writes `k3s-daas_<version>_<arch>.deb`: the program below /usr/lib with the units, none of them enabled. The same sources give the
 * same bytes.
 */
export function makeDebianPackage(directory: string, options: ProgramOptions): string {
  const stage = mkdtempSync(join(tmpdir(), 'k3s-daas-debian-'));
  const architecture = debianName(options.architecture);
  try {
    chmodSync(stage, 0o755);
    stageProgram(join(stage, LIBRARY), options);
    rmSync(join(stage, LIBRARY, 'CHANGELOG.md'));
    // systemd's units are where Debian has them.
    rmSync(join(stage, LIBRARY, 'deploy'), { recursive: true });
    const put = (path: string, text: string | Buffer) => {
      mkdirSync(dirname(join(stage, path)), { recursive: true });
      writeFileSync(join(stage, path), text);
    };
    mkdirSync(join(stage, dirname(PROGRAM)), { recursive: true });
    symlinkSync('../lib/k3s-daas/bin/k3s-daas', join(stage, PROGRAM));
    for (const [name, text] of Object.entries(debianUnits()))
      put(`/lib/systemd/system/${name}.service`, withSettings(text));
    put('/etc/default/k3s-daas', settings);
    putDocuments(put, join(stage, LIBRARY));
    put('/usr/share/lintian/overrides/k3s-daas', overrides);
    setModes(stage);
    put('/DEBIAN/conffiles', '/etc/default/k3s-daas\n');
    put('/DEBIAN/md5sums', sumsOf(stage));
    put('/DEBIAN/control', control(architecture, kibibytes(stage)));
    setModes(join(stage, 'DEBIAN'));
    const file = join(directory, `k3s-daas_${version}_${architecture}.deb`);
    mkdirSync(directory, { recursive: true });
    const env = { SOURCE_DATE_EPOCH: String(MADE_AT) };
    const args = ['--root-owner-group', '-Zxz', '-z1', '--build', stage, file];
    outputOf('dpkg-deb', args, { env, withinMs: 10 * MINUTE_MS });
    return file;
  } finally {
    rmSync(stage, { recursive: true });
  }
}

export const LINTIAN_MISSING = 'lintian is not installed';

/** What lintian has to say about a package, or why it was not asked. */
export function lintianFindings(file: string): string | undefined {
  const isThere = outcomeOfChild('lintian', ['--version'], { withinMs: MINUTE_MS }).exitCode === 0;
  if (!isThere) return LINTIAN_MISSING;
  const args = ['--fail-on', 'error,warning', '--no-cfg', file];
  const { exitCode, output } = outcomeOfChild('lintian', args, { withinMs: 10 * MINUTE_MS });
  return exitCode === 0 ? undefined : output.trim();
}

/** Every unit of the program, by its name; they run the program where the package puts it. */
function debianUnits(): Readonly<Record<string, string>> {
  const program = PROGRAM;
  return {
    [units.WORKER_UNIT]: units.workerUnit({ program }),
    [units.GATEWAY_UNIT]: units.gatewayUnit({ program }),
    // The root helpers beside a gateway (docs/operations.md).
    [units.AUTHORIZER_UNIT]: units.authorizerUnit({ program }),
    [units.FENCE_UNIT]: units.fenceUnit({ program }),
  };
}

/** Units with variables read the conffile before those of `k3s-daas install`. */
function withSettings(unit: string): string {
  return unit.replace('EnvironmentFile=-/etc/default/%N', 'EnvironmentFile=-/etc/default/k3s-daas\n$&');
}

function putDocuments(put: (path: string, text: string | Buffer) => void, program: string): void {
  const zipped = (text: string | Buffer) => gzipSync(text, { level: 9 });
  const documents = '/usr/share/doc/k3s-daas';
  const changes = `k3s-daas (${version}) stable; urgency=medium

  * Release ${version}; what changed: NEWS.gz

 -- K3s-DaaS <noreply@k3s-daas.io>  Thu, 01 Jan 2026 00:00:00 +0000
`;
  put(`${documents}/changelog.gz`, zipped(changes));
  put(`${documents}/NEWS.gz`, zipped(readFileSync(join(root, 'CHANGELOG.md'))));
  const notices = readFileSync(join(program, 'dist', 'THIRD-PARTY-NOTICES.txt'), 'utf8');
  const license =
    'Copyright 2026 the authors of K3s-DaaS. License: Apache-2.0, see /usr/share/common-licenses/Apache-2.0.';
  put(
    `${documents}/copyright`,
    `${license}\nThe licences of the packages inside: THIRD-PARTY-NOTICES.txt.gz.\n`,
  );
  put(`${documents}/THIRD-PARTY-NOTICES.txt.gz`, zipped(notices));
  rmSync(join(program, 'dist', 'THIRD-PARTY-NOTICES.txt'));
  const manual = join(program, 'dist', 'k3s-daas.1');
  put('/usr/share/man/man1/k3s-daas.1.gz', zipped(readFileSync(manual)));
  rmSync(manual);
}

/** Directories and programs 0755, everything else 0644; all of one time. */
function setModes(directory: string): void {
  for (const path of pathsIn(directory)) {
    const status = lstatSync(path);
    if (status.isSymbolicLink()) continue;
    const isProgram = status.isDirectory() || /\/bin\/[^/]+$/.test(path);
    chmodSync(path, isProgram ? 0o755 : 0o644);
    utimesSync(path, MADE_AT, MADE_AT);
  }
}

function pathsIn(directory: string): readonly string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries.map(({ parentPath, name }) => join(parentPath, name)).sort();
}

function filesIn(stage: string): readonly string[] {
  return pathsIn(stage).filter((path) => lstatSync(path).isFile() && !path.includes('/DEBIAN/'));
}

function sumsOf(stage: string): string {
  const names = filesIn(stage)
    .map((path) => path.slice(stage.length + 1))
    .filter((name) => !name.startsWith('etc/'));
  return outputOf('md5sum', names, { cwd: stage, withinMs: 5 * MINUTE_MS });
}

function kibibytes(stage: string): number {
  return filesIn(stage).reduce((sum, path) => sum + Math.ceil(lstatSync(path).size / 1024), 0);
}
