import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCgroup } from './cgroup.ts';
import { criPods, itemsOf } from './cri.ts';
import { limitedCpuPercent, usageMeter } from './usage.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cri-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('pods over the CRI socket', () => {
  let server: Http2Server | undefined;
  afterEach(() => server?.close());

  /** A runtime that answers as containerd does: headers, one message, trailers. */
  async function runtime(answer: (stream: ServerHttp2Stream, asked: Buffer) => void): Promise<string> {
    const path = join(directory, 'containerd.sock');
    server = createServer();
    server.on('stream', (stream, headers) => {
      expect(headers[':path']).toBe('/runtime.v1.RuntimeService/ListPodSandbox');
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => answer(stream, Buffer.concat(chunks)));
    });
    await new Promise<void>((resolve) => server?.listen(path, resolve));
    return path;
  }

  function reply(stream: ServerHttp2Stream, message: Buffer, status = '0'): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
  }

  /** A sandbox with an id of 64 characters, and one long enough for a length of two bytes. */
  const sandbox = (size: number) =>
    Buffer.concat([
      Buffer.from(size < 128 ? [0x0a, size] : [0x0a, (size & 0x7f) | 0x80, size >> 7]),
      Buffer.alloc(size, 0x20),
    ]);

  test('are the ready sandboxes of the reply', async () => {
    let asked = Buffer.alloc(0);
    const path = await runtime((stream, request) => {
      asked = Buffer.from(request);
      reply(stream, Buffer.concat([sandbox(66), sandbox(300), sandbox(66)]));
    });
    expect(await criPods(path)).toBe(3);
    // Only ready ones are asked for: filter.state.state = SANDBOX_READY.
    expect(asked.toString('hex')).toBe('00000000040a021200');
  });

  test('are none when there are none', async () => {
    expect(await criPods(await runtime((stream) => reply(stream, Buffer.alloc(0))))).toBe(0);
  });

  test.each([
    ['answers with an error', (stream: ServerHttp2Stream) => reply(stream, Buffer.alloc(0), '12')],
    ['answers with something else', (stream: ServerHttp2Stream) => reply(stream, Buffer.from([0x08, 0x01]))],
    [
      'ends well without a message',
      (stream: ServerHttp2Stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' });
        stream.end();
      },
    ],
    ['goes away', (stream: ServerHttp2Stream) => stream.destroy()],
  ])('are unknown from a runtime that %s', async (_what, answer) => {
    await expect(criPods(await runtime(answer))).rejects.toThrow();
  });

  test('are unknown without a socket, and from a file that is none', async () => {
    await expect(criPods(join(directory, 'absent.sock'))).rejects.toThrow();
    await writeFile(join(directory, 'file'), '');
    await expect(criPods(join(directory, 'file'))).rejects.toThrow();
  });

  test('a reply that is cut off is not counted', () => {
    expect(() => itemsOf(Buffer.from([0x0a, 0x05, 0x01]))).toThrow('cut off');
    expect(() => itemsOf(Buffer.from([0x0a]))).toThrow('cut off');
  });

  const real = process.env.K3S_DAAS_TEST_CRI_SOCKET;
  test.skipIf(!real)('are counted at a real container runtime (K3S_DAAS_TEST_CRI_SOCKET)', async () => {
    expect(await criPods(real ?? '')).toBeGreaterThanOrEqual(0);
  });
});

describe('what a container allows', () => {
  async function files(contents: Readonly<Record<string, string>>): Promise<string> {
    const { mkdir } = await import('node:fs/promises');
    for (const [path, text] of Object.entries(contents)) {
      await mkdir(join(directory, path, '..'), { recursive: true });
      await writeFile(join(directory, path), text);
    }
    return directory;
  }

  test('is read from cgroup v2', async () => {
    const root = await files({
      'cgroup.controllers': 'cpu memory\n',
      'memory.max': '1000\n',
      'memory.current': '700\n',
      'memory.stat': 'anon 400\ninactive_file 200\n',
      'cpu.max': '150000 100000\n',
      'cpu.stat': 'usage_usec 5000\nuser_usec 1\n',
    });
    expect(await readCgroup(root)).toEqual({
      memory: { limitBytes: 1000, usedBytes: 500 },
      cpu: { limitCpus: 1.5, usedMs: 5 },
    });
  });

  test('is read from cgroup v1', async () => {
    const root = await files({
      'memory/memory.limit_in_bytes': '1000\n',
      'memory/memory.usage_in_bytes': '700\n',
      'memory/memory.stat': 'cache 1\ntotal_inactive_file 200\n',
      'cpu/cpu.cfs_quota_us': '50000\n',
      'cpu/cpu.cfs_period_us': '100000\n',
      'cpuacct/cpuacct.usage': '7000000\n',
    });
    expect(await readCgroup(root)).toEqual({
      memory: { limitBytes: 1000, usedBytes: 500 },
      cpu: { limitCpus: 0.5, usedMs: 7 },
    });
  });

  test.each([
    ['a machine with v2', { 'cgroup.controllers': '', 'cpu.stat': 'usage_usec 5\n' }],
    [
      'a container with v2 and no limits',
      { 'cgroup.controllers': '', 'memory.max': 'max\n', 'cpu.max': 'max 100000\n' },
    ],
    [
      'a machine with v1',
      {
        'memory/memory.limit_in_bytes': '9223372036854771712\n',
        'memory/memory.usage_in_bytes': '7\n',
        'cpu/cpu.cfs_quota_us': '-1\n',
        'cpu/cpu.cfs_period_us': '100000\n',
      },
    ],
    ['a machine without cgroups', {}],
  ])('is nothing on %s', async (_what, contents) => {
    expect(await readCgroup(await files(contents))).toEqual({ memory: undefined, cpu: undefined });
  });

  test('decides the percentages; without it the machine does', async () => {
    const clock = { nowMs: 0, monotonicMs: () => clock.nowMs };
    let usedMs = 0;
    const limited = usageMeter({
      dataDir: () => directory,
      clock,
      cgroup: async () => ({ memory: { limitBytes: 1000, usedBytes: 250 }, cpu: { limitCpus: 2, usedMs } }),
    });
    await limited();
    clock.nowMs = 10_000;
    usedMs = 5_000;
    expect(await limited()).toMatchObject({ cpuPercent: 25, memoryPercent: 25 });
    // Who asks every second gets the last five.
    for (let second = 11; second <= 20; second += 1) {
      clock.nowMs = second * 1_000;
      usedMs += 1_000;
      expect(await limited()).toMatchObject({ cpuPercent: second < 15 ? expect.any(Number) : 50 });
    }
    expect(limitedCpuPercent(undefined, { limitCpus: 1, usedMs: 1 }, 5)).toBeUndefined();
    const free = usageMeter({
      dataDir: () => directory,
      clock,
      cgroup: async () => ({ memory: undefined, cpu: undefined }),
    });
    const { memoryPercent, diskPercent } = await free();
    expect(memoryPercent).toBeGreaterThan(0);
    expect(diskPercent).toBeGreaterThanOrEqual(0);
  });
});
