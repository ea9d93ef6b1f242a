import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readlink } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Lifetime } from '#base';
import { projectRoot } from './program.ts';

const script = join(projectRoot, 'integration', 'world', 'real-machine.sh');
const run = promisify(execFile);

/** A machine made of namespaces: what runs in it sees a network, a host name, cgroups and state directories of its own. */
export interface RealMachine {
  readonly name: string;
  readonly address: string;
  /** `mnt:[…]`: what `/proc/<pid>/ns/mnt` of a process in it says, as long as that process has made no own. */
  readonly mountNamespace: string;
  /** Runs a command inside of it: the pid is the command's own, as are signals and exit code. */
  readonly enter: readonly [string, ...string[]];
  /** Its file system, as long as it is there: `/proc/<pid>/root`. */
  readonly root: string;
  /** Its directory in memory of what it may not change: copies of the kernel's settings, and layers over system directories. */
  readonly scratch: string;
  /** Where a file that is kept inside (`/etc/rancher`, `/var/lib/rancher`, …) is seen from outside. */
  file(path: string): string;
}

/** A local network: machines, and the test itself at `host`. No way leads out of it. */
export interface RealNetwork {
  /** Address of the machine that the tests run on. */
  readonly host: string;
  machine(name: string, home: string, bundle: string): Promise<RealMachine>;
}

/**
 * A bridge in a network namespace of its own, and one interface in ours, so that no forwarding and no firewall of the real
 * machine has a part in it. Addresses are of 198.18.0.0/15, which is set aside for tests of networks (RFC 2544).
 */
export async function startNetwork(life: Lifetime): Promise<RealNetwork> {
  const wire = 'ip link add lan type bridge && ip link set lan up && echo "ready $$" && exec cat';
  const { pid } = await keep(life, 'the network', 'unshare', ['--net', '--', 'sh', '-c', wire]);
  const subnet = await plugIn(pid);
  let taken = 1;
  return {
    host: `${subnet}.1`,
    async machine(name, home, bundle) {
      taken += 1;
      const address = `${subnet}.${taken}`;
      const id = `k3s-daas-${process.pid}-${subnet.split('.')[2]}-${taken}`;
      await mkdir(home, { recursive: true });
      const holder = await keep(life, `the machine ${name}`, script, [
        'keep',
        id,
        home,
        name,
        bundle,
        `${subnet}.1`,
      ]);
      const inside = ['nsenter', '--target', String(holder.pid), '--net', '--'] as const;
      await command(
        'ip',
        'link',
        'add',
        'eth0',
        'netns',
        holder.pid,
        'type',
        'veth',
        'peer',
        'name',
        `m${taken}`,
        'netns',
        pid,
      );
      await command(
        'nsenter',
        '--target',
        pid,
        '--net',
        '--',
        'ip',
        'link',
        'set',
        `m${taken}`,
        'master',
        'lan',
        'up',
      );
      await command(...inside, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth0');
      await command(...inside, 'ip', 'link', 'set', 'eth0', 'up');
      // Nobody answers there: but an address of a service needs a route before kube-proxy can rewrite it.
      await command(...inside, 'ip', 'route', 'add', 'default', 'dev', 'eth0');
      return {
        name,
        address,
        mountNamespace: await readlink(`/proc/${holder.pid}/ns/mnt`),
        root: `/proc/${holder.pid}/root`,
        enter: [script, 'enter', id, holder.pid],
        scratch: join(home, 'scratch'),
        file: (path) => join(home, 'files', path),
      };
    },
  };
}

/** An interface of ours on the bridge, in a subnet that is free here. */
async function plugIn(network: string): Promise<string> {
  const first = process.pid % 256;
  for (let attempt = 0; attempt < 256; attempt += 1) {
    const number = (first + attempt) % 256;
    const subnet = `198.18.${number}`;
    const used = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    if (used.some(({ address }) => address.startsWith(`${subnet}.`))) continue;
    const device = `k3s-daas-${number}`;
    try {
      await command('ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'host', 'netns', network);
    } catch (error) {
      // Another world took it in the same moment.
      if (String(error).includes('File exists')) continue;
      throw error;
    }
    await command('ip', 'address', 'add', `${subnet}.1/24`, 'dev', device);
    await command('ip', 'link', 'set', device, 'up');
    await command(
      'nsenter',
      '--target',
      network,
      '--net',
      '--',
      'ip',
      'link',
      'set',
      'host',
      'master',
      'lan',
      'up',
    );
    return subnet;
  }
  throw new Error('every subnet of 198.18.0.0/16 is taken');
}

async function command(...words: readonly string[]): Promise<void> {
  const [file = '', ...args] = words;
  await run(file, args);
}

/**
 * Starts what holds namespaces open for as long as its standard input is, which the kernel closes for us even when we are
 * killed. Its first line is `ready <pid of who is inside>`.
 */
async function keep(
  life: Lifetime,
  what: string,
  file: string,
  args: readonly string[],
): Promise<{ pid: string }> {
  // A session of its own: Ctrl-C ends the owner, and the owner's end ends this in order.
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const complaints: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
  life.defer(what, () => release(child));
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, pid] = line.split(' ');
    if (word !== 'ready' || pid === undefined) break;
    child.stdout.resume();
    return { pid };
  }
  throw new Error(
    `${what} cannot be made (root, util-linux and iproute2 are needed): ${complaints.join('').trim()}`,
  );
}

async function release(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.stdin?.end();
  await ended;
}
