import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type OciImage, writeOciImage } from './oci.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oci-'));
});
afterEach(() => rm(directory, { recursive: true }));

const files = [
  ['usr/lib/program/node', 'the program', 0o755],
  ['usr/lib/program/dist/main.js', 'text', 0o644],
  ['etc/passwd', 'nonroot', 0o644],
] as const;

/** The same files, made in this order, with what differs from machine to machine. */
async function root(name: string, order: typeof files | readonly (typeof files)[number][], umask: number) {
  const at = join(directory, name);
  for (const [path, content, mode] of order) {
    await mkdir(join(at, path, '..'), { recursive: true });
    await writeFile(join(at, path), content);
    await chmod(join(at, path), mode & ~umask);
    await utimes(join(at, path), 1_000 + umask, 2_000 + umask);
  }
  for (const path of ['tmp', 'var/lib/state']) await mkdir(join(at, path), { recursive: true });
  return at;
}

const imageOf = (layer: string): OciImage => ({
  name: 'k3s-daas-gateway:1.2.3',
  architecture: 'x64',
  layers: [
    {
      directory: layer,
      comment: 'all',
      owned: [
        { path: 'tmp', owner: 0, mode: '1777' },
        { path: 'var/lib/state', owner: 65_532, mode: '0700' },
      ],
    },
  ],
  config: { User: '65532', WorkingDir: '/', Env: [], Entrypoint: ['/usr/lib/program/node'], Cmd: [] },
});

test('the same files give the same image, whatever their times, their umask and the order in which they were made', async () => {
  const [first, second] = [join(directory, 'first.tar'), join(directory, 'second.tar')];
  const digest = writeOciImage(first, imageOf(await root('one', files, 0o022)));
  const again = writeOciImage(second, imageOf(await root('two', files.toReversed(), 0o077)));
  expect(again).toBe(digest);
  expect(await readFile(second)).toEqual(await readFile(first));
  const changed = await root('three', files, 0o022);
  await writeFile(join(changed, 'etc/passwd'), 'nonrooT');
  expect(writeOciImage(join(directory, 'third.tar'), imageOf(changed))).not.toBe(digest);
});

test('every blob has its digest as its name, and the directories of others their owner and mode', async () => {
  const file = join(directory, 'image.tar');
  const digest = writeOciImage(file, imageOf(await root('one', files, 0o022)));
  const layout = join(directory, 'layout');
  await mkdir(layout);
  execFileSync('tar', ['-C', layout, '-xf', file]);
  const blobs = join(layout, 'blobs', 'sha256');
  for (const name of await readdir(blobs))
    expect(
      createHash('sha256')
        .update(await readFile(join(blobs, name)))
        .digest('hex'),
    ).toBe(name);
  const read = async (name: string) => JSON.parse(await readFile(join(layout, name), 'utf8')) as never;
  const index: { manifests: [{ digest: string }] } = await read('index.json');
  expect(index.manifests[0].digest).toBe(digest);
  const manifest: { config: { digest: string }; layers: [{ digest: string }] } = await read(
    `blobs/sha256/${digest.slice(7)}`,
  );
  const config = await read(`blobs/sha256/${manifest.config.digest.slice(7)}`);
  expect(config).toMatchObject({
    created: '1970-01-01T00:00:00Z',
    architecture: 'amd64',
    rootfs: { diff_ids: [manifest.layers[0].digest] },
  });
  const layer = join(blobs, manifest.layers[0].digest.slice(7));
  const listed = execFileSync('tar', ['--numeric-owner', '--utc', '-tvf', layer], { encoding: 'utf8' });
  expect(listed).toMatch(/^drwxrwxrwt 0\/0 .* 1970-01-01 00:00 \.\/tmp\/$/m);
  expect(listed).toMatch(/^drwx------ 65532\/65532 .*\.\/var\/lib\/state\/$/m);
  expect(listed).toMatch(/^-rwxr-xr-x 0\/0 .*\.\/usr\/lib\/program\/node$/m);
  expect(listed.match(/\.\/tmp\//g)).toHaveLength(1);
});
