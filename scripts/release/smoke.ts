import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type Artefact, version } from './artefact.ts';
import { inBareRoot } from './bare-root.ts';
import { type ChildOutcome, MINUTE_MS, outcomeOfChild } from './child.ts';
import { PLUGIN_ON_DISK, settingsWithPlugin } from './plugin-on-disk.ts';

export interface Smoke {
  readonly result: 'passed' | 'failed' | 'not run';
  /** Why it failed or did not run; empty if it passed. */
  readonly reason: string;
  /** CPU seconds of `k3s-daas --version`, the median of ten. */
  readonly startSeconds?: number;
}

/** What every installation has to do, after the lines that install it. Prints the CPU times of ten starts at the end. */
const checks = (commit: string | undefined) => `
version=$(k3s-daas version --json)
for fact in '"version":"${version}"' '"commit":${JSON.stringify(commit ?? null)}' '"packages":{' '"k3sTested":["v1.'; do
  case $version in *"$fact"*) ;; *) echo "version --json has no $fact: $version"; exit 1 ;; esac
done
# The units that came with it run this program.
for unit in /lib/systemd/system/k3s*.service /usr/local/lib/k3s-daas/*/deploy/systemd/*.service; do
  [ ! -e "$unit" ] || [ "$(sed -n 's/^ExecStart=\\([^ ]*\\) .*/\\1/p' "$unit")" = "$(command -v k3s-daas)" ] ||
    { echo "$unit runs another program than $(command -v k3s-daas)"; exit 1; }
done
for command in agent gateway install doctor stake config contracts; do
  k3s-daas "$command" --help | grep -F "Usage: k3s-daas $command" >&2
done
# As krew and people link it.
ln -s "$(command -v k3s-daas)" /usr/local/bin/kubectl-daas
kubectl-daas --help | grep -F 'Usage: k3s-daas kubectl' >&2
mkdir -p /etc/k3s-daas && cd /etc/k3s-daas
cat >mine.mjs <<'END'
${PLUGIN_ON_DISK}END
echo '${settingsWithPlugin({})}' >k3s-daas.json
chmod 600 k3s-daas.json
k3s-daas config --check --config k3s-daas.json >&2
echo '${settingsWithPlugin({ code: true })}' >k3s-daas.json
code=0
said=$(k3s-daas config --check --config k3s-daas.json 2>&1) || code=$?
[ "$code" = 78 ] && case $said in *'said by the plugin'*) ;; *) echo "$said"; exit 1 ;; esac
[ "$(ls /proc | grep -c '^[0-9]')" -lt 6 ] || { echo 'something was started'; exit 1; }
TIMEFORMAT='start %U %S'
for _ in 1 2 3 4 5 6 7 8 9 10; do time k3s-daas --version; done
`;

/** Installs the artefact in the bare root and uses it there. */
export function smokeTest(
  { file, install }: Artefact,
  { root, commit }: { readonly root: string; readonly commit: string | undefined },
): Smoke {
  if (install === undefined) return { result: 'not run', reason: 'of another architecture' };
  const outcome = inBareRoot(root, dirname(file), `${install}\n${checks(commit)}`);
  if (outcome.exitCode !== 0) return { result: 'failed', reason: outcome.output.trim() };
  return { result: 'passed', reason: '', startSeconds: startSeconds(outcome) };
}

function startSeconds({ output }: ChildOutcome): number {
  const times = [...output.matchAll(/^start ([\d.]+) ([\d.]+)$/gm)];
  const seconds = times.map(([, user, system]) => Number(user) + Number(system)).toSorted((a, b) => a - b);
  return seconds[Math.floor(seconds.length / 2)] ?? Number.NaN;
}

/** With qemu-user and Debian's libraries for the other architecture: it starts, and loads a plugin. */
export function emulatedTest({ file }: Artefact): Smoke {
  const libraries = '/usr/aarch64-linux-gnu';
  const [program, directory] = [basename(file), mkdtempSync(join(tmpdir(), 'k3s-daas-emulated-'))];
  try {
    for (const [name, text] of [
      ['mine.mjs', PLUGIN_ON_DISK],
      ['k3s-daas.json', settingsWithPlugin({})],
    ] as const)
      writeFileSync(join(directory, name), text, { mode: 0o600 });
    for (const args of [
      ['version', '--json'],
      ['config', '--check', '--config', join(directory, 'k3s-daas.json')],
    ]) {
      const emulated = ['-L', libraries, file, ...args];
      const { exitCode, output } = outcomeOfChild('qemu-aarch64-static', emulated, {
        withinMs: 10 * MINUTE_MS,
      });
      if (/ENOENT|could not open|cannot open shared/i.test(output))
        return {
          result: 'not run',
          reason: 'needs qemu-user-static and libatomic1-arm64-cross, libstdc++6-arm64-cross',
        };
      if (exitCode !== 0) return { result: 'failed', reason: `${program} ${args.join(' ')}: ${output}` };
    }
    return { result: 'passed', reason: 'under qemu-user' };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
