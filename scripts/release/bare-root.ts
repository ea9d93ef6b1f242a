import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './artefact.ts';
import { type ChildOutcome, MINUTE_MS, outcomeOfChild, outputOf } from './child.ts';

/** A directory with a Debian, or why there is none. */
export type BareRoot = { readonly directory: string } | { readonly missing: string };

/** Packages that pages tell a reader to install: apt has them and what they need in its archives, since the root gets no network. */
const PREREQUISITES = ['ca-certificates', 'curl', 'libatomic1'];

const cache = join(root, '.cache', 'bare-root');

/**
 * A directory with a Debian that has nothing but its essential packages: `K3S_DAAS_BARE_ROOT`, or one that debootstrap makes once in
 * `.cache`. A string says why there is none.
 */
export function bareRoot(): BareRoot {
  const problem = problemOfMachine();
  if (problem !== undefined) return { missing: problem };
  const given = process.env.K3S_DAAS_BARE_ROOT;
  if (given) return { directory: given };
  return made('bookworm', (partial) => {
    if (outcomeOfChild('debootstrap', ['--version'], { withinMs: MINUTE_MS }).exitCode !== 0)
      return 'debootstrap is not installed';
    const args = ['--variant=minbase', 'bookworm', partial];
    const { exitCode, output } = outcomeOfChild('debootstrap', args, { withinMs: 20 * MINUTE_MS });
    if (exitCode !== 0) return `debootstrap failed: ${lastLine(output)}`;
    outputOf('chmod', ['755', partial], { withinMs: MINUTE_MS });
    return undefined;
  });
}

/** The same with systemd, as a machine boots it. */
export function bareRootWithSystemd(): BareRoot {
  const bare = bareRoot();
  if ('missing' in bare) return bare;
  return made('bookworm-systemd', (partial) => {
    outputOf('cp', ['-a', `${bare.directory}/.`, partial], { withinMs: 10 * MINUTE_MS });
    return aptIn(partial, 'apt-get install --yes -qq --no-install-recommends systemd-sysv');
  });
}

function problemOfMachine(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  const args = ['--mount', '--pid', '--fork', 'true'];
  return outcomeOfChild('unshare', args, { withinMs: MINUTE_MS }).exitCode === 0
    ? undefined
    : 'no namespaces';
}

/** The root of that name in the cache, made if it is not there, with today's prerequisites in its archives. */
function made(name: string, make: (partial: string) => string | undefined): BareRoot {
  const directory = join(cache, name);
  if (!existsSync(directory)) {
    mkdirSync(cache, { recursive: true });
    const partial = mkdtempSync(join(cache, 'partial-'));
    try {
      process.stderr.write(`making a bare Debian root (${name}, once) …\n`);
      const problem = make(partial);
      if (problem !== undefined) return { missing: problem };
      renameSync(partial, directory);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  const problem = fetchPrerequisites(directory);
  if (problem !== undefined) process.stderr.write(`packages that pages name cannot be fetched: ${problem}\n`);
  return { directory };
}

/** By the root's own apt, from its own sources: the distribution of this machine does not matter. */
function fetchPrerequisites(directory: string): string | undefined {
  const marker = join(directory, 'var', 'cache', 'apt', 'archives', 'k3s-daas.prerequisites');
  const wanted = PREREQUISITES.join(' ');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return undefined;
  const problem = aptIn(directory, `apt-get install --yes -qq --download-only ${wanted}`);
  if (problem === undefined) writeFileSync(marker, wanted);
  return problem;
}

/** Runs apt in the root with the network of this machine; why it failed. */
function aptIn(directory: string, line: string): string | undefined {
  const resolver = join(directory, 'etc', 'resolv.conf');
  copyFileSync('/etc/resolv.conf', resolver);
  try {
    const script = 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -ec "apt-get update -qq; $1"';
    const args = ['--mount', '--pid', '--fork', '--kill-child=KILL', 'sh', '-c', script, directory, line];
    const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
    const { exitCode, output } = outcomeOfChild('unshare', args, { withinMs: 10 * MINUTE_MS, env });
    return exitCode === 0 ? undefined : `apt failed in ${directory}: ${lastLine(output)}`;
  } finally {
    // A root without a network resolves no names.
    writeFileSync(resolver, '');
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** Runs a script in the root, which it does not change; `release` is seen as /mnt. */
export function inBareRoot(directory: string, release: string, script: string): ChildOutcome {
  const work = mkdtempSync(join(tmpdir(), 'k3s-daas-bare-'));
  try {
    const namespaces = ['--mount', '--pid', '--fork', '--uts', '--ipc', '--net', '--kill-child=KILL'];
    const program = join(import.meta.dirname, 'bare-root.sh');
    const args = [...namespaces, program, directory, work, release, script];
    return outcomeOfChild('unshare', args, { withinMs: 10 * MINUTE_MS });
  } finally {
    rmdirSync(work);
  }
}
