import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from './world/kubernetes.ts';
import { ourProgram } from './world/program.ts';

/**
 * `gateway fence` with the real nftables: a server and its peers in network namespaces of their own, joined by a wire. A peer has
 * a connection on which the server sends, as for an open watch, before it is fenced.
 */
const run = promisify(execFile);
const canMakeNetworks = process.getuid?.() === 0 && spawnSync('unshare', ['--net', 'true']).status === 0;
const hasNft =
  spawnSync('nft', ['--version'], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }).status === 0;

const [server, bad, good] = ['10.99.0.1', '10.99.0.2', '10.99.0.3'];
/** The same machines by IPv6. */
const [server6, bad6, good6] = ['fd00:99::1', 'fd00:99::2', 'fd00:99::3'];
const port = 6443;
const serving = (address: string) => `require('node:net').createServer((socket) => {
  console.log('opened ' + socket.remoteAddress);
  const timer = setInterval(() => socket.write('event\\n'), 20);
  socket.on('error', () => undefined);
  socket.on('close', () => { clearInterval(timer); console.log('closed ' + socket.remoteAddress); });
}).listen(${port}, '${address}', () => console.log('listens'));`;
/** Says what it hears; ends with the connection. */
const watching = (
  address: string,
) => `const socket = require('node:net').connect({ host: '${address.includes(':') ? server6 : server}', port: ${port}, localAddress: '${address}' });
socket.on('data', () => console.log('event'));
socket.on('error', (error) => { console.log(error.code); process.exit(1); });
setTimeout(() => { if (socket.connecting) { console.log('no answer'); process.exit(1); } }, 2000);`;

describe.skipIf(!canMakeNetworks || !hasNft)(
  'the fence (needs root and nftables)',
  { timeout: 240_000 },
  () => {
    const children: ChildProcess[] = [];
    let directory = '';
    let inside: Record<'server' | 'peers', readonly string[]>;

    /** A process and the lines that it has written. */
    function start(command: readonly string[]): { readonly lines: string[]; readonly child: ChildProcess } {
      const [file = '', ...args] = command;
      const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      children.push(child);
      const lines: string[] = [];
      createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
      return { lines, child };
    }
    const has = (lines: readonly string[], line: string) =>
      until(line, async () => (lines.includes(line) ? true : undefined));
    async function network(): Promise<readonly string[]> {
      const { lines } = start(['unshare', '--net', '--', 'sh', '-c', 'ip link set lo up; echo $$; exec cat']);
      const pid = await until('the network', async () => lines[0]);
      return ['nsenter', '--target', pid, '--net', '--'];
    }
    const call = (...words: readonly string[]) => run(words[0] ?? '', words.slice(1));
    const watch = (address: string) =>
      start([...inside.peers, process.execPath, '-e', watching(address)]).lines;
    const hearsMore = async (lines: readonly string[]) => {
      const before = lines.length;
      await until('more events', async () => (lines.length > before + 5 ? true : undefined));
    };
    /** What a new connection comes to. */
    async function outcome(address: string): Promise<string> {
      const lines = watch(address);
      return until('an outcome', async () => lines[0]);
    }
    async function fence(addresses: readonly string[] | undefined, ...flags: readonly string[]) {
      if (addresses) {
        const peers = addresses.map((address) => ({ nodeId: 'bad', address }));
        await writeFile(join(directory, 'state', 'fence', 'peers.json'), JSON.stringify({ peers }));
      }
      const config = ['--config', join(directory, 'k3s-daas.yaml'), '--json'];
      const { stdout } = await call(...inside.server, ...ourProgram, 'gateway', 'fence', ...config, ...flags);
      return JSON.parse(stdout) as { counters: Array<{ address: string; packets: number }> };
    }

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'fence-'));
      await mkdir(join(directory, 'state', 'fence'), { recursive: true });
      await writeFile(
        join(directory, 'k3s-daas.yaml'),
        `chain:
  endpoints: [https://fullnode.testnet.sui.io:443]
gateway:
  server: https://k3s.example:${port}
  tls: {certFile: tls.crt, keyFile: tls.key}
  stateDir: ${join(directory, 'state')}
  fence: peers
`,
        { mode: 0o600 },
      );
      inside = { server: await network(), peers: await network() };
      const [a = '', b = ''] = [inside.server[2], inside.peers[2]];
      await call('ip', 'link', 'add', 'wire', 'netns', a, 'type', 'veth', 'peer', 'name', 'wire', 'netns', b);
      await call(...inside.server, 'ip', 'address', 'add', `${server}/24`, 'dev', 'wire');
      await call(...inside.server, 'ip', 'address', 'add', `${server6}/64`, 'dev', 'wire', 'nodad');
      for (const address of [bad, good])
        await call(...inside.peers, 'ip', 'address', 'add', `${address}/24`, 'dev', 'wire');
      for (const address of [bad6, good6])
        await call(...inside.peers, 'ip', 'address', 'add', `${address}/64`, 'dev', 'wire', 'nodad');
      for (const one of [inside.server, inside.peers]) await call(...one, 'ip', 'link', 'set', 'wire', 'up');
    });
    afterAll(async () => {
      for (const child of children) child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    });

    test('ends the open watch of a banned node, keeps it out, counts what it drops, and touches nobody else', async () => {
      const { lines } = start([...inside.server, process.execPath, '-e', serving(server)]);
      await has(lines, 'listens');
      const [badWatch, goodWatch] = [watch(bad), watch(good)];
      await hearsMore(badWatch);
      await hearsMore(goodWatch);

      await fence([bad], '--once');
      await has(lines, `closed ${bad}`);
      const heard = badWatch.length;
      await hearsMore(goodWatch);
      expect(badWatch).toHaveLength(heard);
      expect(await outcome(bad)).toBe('no answer');
      expect(await outcome(good)).toBe('event');
      const { counters } = await fence(undefined, '--counters');
      expect(counters).toEqual([expect.objectContaining({ address: bad })]);
      expect(counters[0]?.packets).toBeGreaterThan(0);

      // The counters are evidence: a second run keeps them.
      const again = await fence([bad], '--once');
      expect(again.counters[0]?.packets).toBeGreaterThanOrEqual(counters[0]?.packets ?? 0);
      await fence([], '--once');
      expect(await outcome(bad)).toBe('event');
    });

    test('keeps IPv6 peers out beside those of IPv4, whatever else the list has', async () => {
      const { lines } = start([...inside.server, process.execPath, '-e', serving(server6)]);
      await has(lines, 'listens');
      const [badWatch, goodWatch] = [watch(bad6), watch(good6)];
      await hearsMore(badWatch);
      // A network, a zone, and what is neither: each would have failed the whole set of rules.
      const list = [`${bad6.slice(0, -1)}/64`, `${bad6}%wire`, 'x; drop', '0.0.0.0/0', '::ffff:10.99.0.2'];
      const { counters } = await fence(list, '--once');
      expect(counters.map(({ address }) => address).sort()).toEqual([bad, bad6]);
      await has(lines, `closed ${bad6}`);
      await hearsMore(goodWatch);
      expect(await outcome(bad6)).toBe('no answer');
      expect(await outcome(good6)).toBe('event');
      // The kernel names it as it was added: a second run changes nothing.
      const again = await fence([bad6.replace('::', ':0:0::'), bad], '--once');
      expect(again.counters.find(({ address }) => address === bad6)?.packets).toBeGreaterThan(0);
      await fence([], '--once');
    });

    test('spares the machine itself and what the operator names', async () => {
      expect((await fence([server, '127.0.0.1', '::1', '224.0.0.1'], '--once')).counters).toEqual([]);
      expect((await fence([good], '--once', '--spare', '10.99.0.0/24')).counters).toEqual([]);
    });

    test('--remove leaves no rule', async () => {
      await fence([bad], '--once');
      await fence(undefined, '--remove');
      const { stdout } = await call(...inside.server, '/usr/sbin/nft', 'list', 'ruleset');
      expect(stdout).toBe('');
      expect((await fence(undefined, '--counters')).counters).toEqual([]);
    });

    test('a file that is missing opens nothing', async () => {
      await fence([bad], '--once');
      await rm(join(directory, 'state', 'fence', 'peers.json'));
      expect((await fence(undefined, '--once')).counters).toMatchObject([{ address: bad }]);
      await fence(undefined, '--remove');
    });

    test('a program in its place gets the addresses', async () => {
      const program = join(directory, 'fence.sh');
      await writeFile(program, `#!/bin/sh\nexec cat > ${directory}/told\n`, { mode: 0o755 });
      await fence([bad], '--once', '--command', program);
      const { stdout } = await call('cat', join(directory, 'told'));
      expect(JSON.parse(stdout)).toEqual({ addresses: [bad] });
    });
  },
);
