import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { krewManifest } from './krew.ts';

test('the manifest of krew names each tarball with its checksum, and the launcher in it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'krew-'));
  try {
    const file = join(directory, 'k3s-daas-linux-amd64.tar.gz');
    await writeFile(file, 'tarball');
    const text = krewManifest({
      version: '1.2.3',
      baseUrl: 'https://releases.example/v1.2.3',
      tarballs: { amd64: file },
    });
    expect(parse(text)).toMatchObject({
      kind: 'Plugin',
      metadata: { name: 'daas' },
      spec: {
        version: 'v1.2.3',
        platforms: [
          {
            selector: { matchLabels: { os: 'linux', arch: 'amd64' } },
            uri: 'https://releases.example/v1.2.3/k3s-daas-linux-amd64.tar.gz',
            sha256: createHash('sha256').update('tarball').digest('hex'),
            bin: 'bin/k3s-daas',
          },
        ],
      },
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});
