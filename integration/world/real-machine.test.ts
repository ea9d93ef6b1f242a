import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from './kubernetes.ts';

/** Makes a machine, starts a `sleep` in it, tells where, and waits to be killed. */
const owner = `
  import { spawn } from 'node:child_process';
  import { Lifetime } from '#base';
  import { startNetwork } from './integration/world/real-machine.ts';
  const [directory] = process.argv.slice(1);
  const network = await startNetwork(new Lifetime());
  const machine = await network.machine('short-lived', directory, directory);
  const [file, ...args] = machine.enter;
  const sleep = spawn(file, [...args, 'sh', '-c', 'hostname; exec sleep 1000']);
  sleep.stdout.on('data', (name) =>
    console.log(JSON.stringify({ pid: sleep.pid, host: network.host, name: String(name).trim(), id: args[1] })));
`;

describe.skipIf((process.env.K3S_BIN ?? '') === '')('machines for a real k3s (K3S_BIN)', () => {
  test('a machine goes with its owner, also when that one is killed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-machine-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const program = spawn(
      process.execPath,
      ['--conditions=source', '--input-type=module-typescript', '--eval', owner, directory],
      { cwd: join(import.meta.dirname, '..', '..'), stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = await once(createInterface({ input: program.stdout }), 'line');
    const { pid, host, name, id } = JSON.parse(String(line));
    expect(name).toBe('short-lived');
    expect(hasAddress(host)).toBe(true);
    program.kill('SIGKILL');
    await until('its process, its cgroups and its network to be gone', async () => {
      // A process that nobody has waited for yet has no executable any more.
      const isThere = [`/proc/${pid}/exe`, ...(await cgroupsOf(id))].map((path) =>
        access(path).then(
          () => true,
          () => false,
        ),
      );
      return (await Promise.all(isThere)).includes(true) || hasAddress(host) ? undefined : true;
    });
  });
});

/** With cgroup v2, and with every hierarchy of v1. */
async function cgroupsOf(id: string): Promise<string[]> {
  const places = await readdir('/sys/fs/cgroup');
  return ['', ...places].map((place) => join('/sys/fs/cgroup', place, id));
}

function hasAddress(address: string): boolean {
  return Object.values(networkInterfaces()).some((own) => own?.some((one) => one.address === address));
}
