import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian's busybox-static: one file that needs no other. */
const BUSYBOX = '/usr/bin/busybox';

export const BUSYBOX_IMAGE = 'example.com/k3s-daas/busybox:1';

/**
 * Makes an image archive, as `docker save` writes it, whose programs a person can run in a pod: busybox alone, and a page for its web
 * server. No registry is needed.
 * @returns its path, or `undefined` on a machine without a static busybox.
 */
export async function makeBusyboxImage(directory: string): Promise<string | undefined> {
  if (!(await isStatic(BUSYBOX))) return undefined;
  const root = join(directory, 'busybox-root');
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'www'));
  await copyFile(BUSYBOX, join(root, 'bin', 'busybox'));
  await chmod(join(root, 'bin', 'busybox'), 0o755);
  await writeFile(join(root, 'www', 'index.html'), 'served by a pod\n');
  const layer = join(directory, 'layer.tar');
  await run('tar', ['--owner=0', '--group=0', '-cf', layer, '-C', root, 'bin', 'www']);
  const hash = createHash('sha256')
    .update(await readFile(layer))
    .digest('hex');
  const config = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    // Pod Security "restricted" wants a number that is not root's.
    config: { User: '65534', Env: ['PATH=/bin'], Cmd: ['busybox', 'sleep', '86400'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: [BUSYBOX_IMAGE], Layers: ['layer.tar'] }];
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(directory, 'busybox-image.tar');
  await run('tar', ['-cf', archive, '-C', directory, 'manifest.json', 'config.json', 'layer.tar']);
  return archive;
}

/** Whether it is an ELF file that names no interpreter. */
async function isStatic(file: string): Promise<boolean> {
  const bytes = await readFile(file).catch(() => undefined);
  return bytes !== undefined && !bytes.subarray(0, 4_096).includes('ld-linux');
}
