import { execFileSync } from 'node:child_process';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { settled } from '#testing';
import { lineHash } from './audit-chain.ts';
import { World } from './world.fixture.ts';

/** A file system of its own that is really full; needs the right to mount one. */
class SmallDisk implements AsyncDisposable {
  readonly path: string;
  private constructor(path: string) {
    this.path = path;
  }

  static async mount(): Promise<SmallDisk> {
    const path = await mkdtemp(join(tmpdir(), 'small-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', path]);
    return new SmallDisk(path);
  }

  /** To the last byte. */
  fill(): void {
    const file = openSync(join(this.path, 'filler'), 'a');
    try {
      for (let bytes = 65_536; bytes >= 1; bytes = Math.floor(bytes / 2)) fillBy(file, bytes);
    } finally {
      closeSync(file);
    }
  }
  empty(): void {
    unlinkSync(join(this.path, 'filler'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    execFileSync('umount', ['--lazy', this.path]);
    await rm(this.path, { recursive: true });
  }
}

function fillBy(file: number, bytes: number): void {
  try {
    for (;;) if (writeSync(file, Buffer.alloc(bytes, 1)) < bytes) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function expectUnbroken(lines: ReadonlyArray<Record<string, unknown>>): void {
  let previous = '0'.repeat(64);
  lines.forEach(({ hash, ...body }, index) => {
    expect(body.seq).toBe(index + 1);
    expect(body.prev).toBe(previous);
    expect(lineHash(body)).toBe(hash);
    previous = String(hash);
  });
}

const eventsOf = (lines: ReadonlyArray<Record<string, unknown>>, nodeId: string) =>
  lines.filter(({ node_id: id }) => id === nodeId).map(({ event }) => event);

const eviction = [
  'eviction.decided',
  'name.removed',
  'node.tainted',
  'node.pods_removed',
  'node.deleted',
  'eviction.done',
];

test.skipIf(!mayMount()).each([
  ['with its reserve', 64 * 1024],
  ['without one', 0],
])(
  'on a full disk a slashed node goes, its host is told, and it is written down: %s',
  async (_what, diskReserveBytes) => {
    await using disk = await SmallDisk.mount();
    await using world = await World.start({ stateDir: join(disk.path, 'state'), diskReserveBytes });
    const worker = await world.member('worker-1');
    const bystander = await world.member('worker-2', { staker: `0x${'52'.repeat(32)}` });
    disk.fill();
    // Strangers go on.
    const refused = world.worker('worker-3', { staker: `0x${'53'.repeat(32)}` }).stake();
    await expect(refused.register()).rejects.toMatchObject({ isRetryable: true });

    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(3_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
    expect((await bystander.heartbeat()).directives).toEqual([]);
    await expect(refused.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_STORAGE_UNAVAILABLE',
      isRetryable: true,
    });
    const failing = (await world.gateway?.health())?.filter(({ isOk }) => !isOk) ?? [];
    expect(failing.map(({ name }) => name)).toContain(diskReserveBytes > 0 ? 'disk' : 'audit');
    // The reserve is for this.
    if (diskReserveBytes > 0)
      expect(eventsOf(await world.audit(), 'worker-1')).toEqual(expect.arrayContaining(eviction));

    disk.empty();
    await world.pass(3_000);
    expect((await world.gateway?.health())?.every(({ isOk }) => isOk)).toBe(true);
    const lines = await world.audit();
    expectUnbroken(lines);
    const written = eventsOf(lines, 'worker-1');
    expect(
      written.slice(written.indexOf('eviction.decided')).filter((event) => eviction.includes(String(event))),
    ).toEqual(eviction);
    expect((await refused.register()).join).toBeDefined();
    // The state is on disk too: the next process knows it without the chain.
    await world.stopGateway();
    world.chain.isDown = true;
    await world.startGateway();
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
  },
  60_000,
);

test.skipIf(!mayMount())(
  'a gateway that starts on a full disk carries out what was slashed meanwhile',
  async () => {
    await using disk = await SmallDisk.mount();
    await using world = await World.start({
      stateDir: join(disk.path, 'state'),
      diskReserveBytes: 64 * 1024,
    });
    const worker = await world.member('worker-1');
    world.kill();
    unlinkSync(join(world.config.stateDir, 'reserve'));
    disk.fill();
    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.startGateway();
    await world.pass(3_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
    disk.empty();
    await world.pass(3_000);
    const lines = await world.audit();
    expectUnbroken(lines);
    expect(eventsOf(lines, 'worker-1')).toEqual(expect.arrayContaining(eviction));
  },
  60_000,
);

test.skipIf(!mayMount())(
  'the operator evicts and bans on a full disk, and is told what a restart would forget',
  async () => {
    await using disk = await SmallDisk.mount();
    await using world = await World.start({ stateDir: join(disk.path, 'state'), diskReserveBytes: 0 });
    await world.member('worker-1');
    disk.fill();
    const evicted = await world.operator('/v1/evict', { node_id: 'worker-1', lock: true });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(evicted).toMatchObject({
      done: true,
      warnings: expect.arrayContaining([expect.stringContaining('is lost if the gateway ends now')]),
    });
  },
  60_000,
);
