import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockAgent } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { download } from './download.ts';

const MIRROR = 'https://mirror.example';
const body = Buffer.from('a program');
const sum = createHash('sha256').update(body).digest('hex');

let directory: string;
let place: string;
let agent: MockAgent;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-download-'));
  place = join(directory, 'k3s');
  agent = new MockAgent();
  agent.disableNetConnect();
});
afterEach(async () => {
  await agent.close();
  await rm(directory, { recursive: true });
});

/** What a mirror replies with under a path. */
function serve(path: string, status: number, content: string | Buffer, headers = {}, origin = MIRROR): void {
  agent.get(origin).intercept({ path }).reply(status, content, { headers }).persist();
}

function fetched(sha256: string | { readonly listUrl: string; readonly name: string }, path = '/k3s') {
  const step = {
    kind: 'download',
    url: MIRROR + path,
    path: place,
    mode: 0o755,
    why: 'k3s',
    sha256,
  } as const;
  return download(place, step, agent);
}

test('a program is fetched only if its SHA-256 is the one that was listed', async () => {
  serve('/k3s', 200, body);
  serve('/list', 200, `${'0'.repeat(64)}  other\n${sum}  k3s\n`);
  serve('/gone', 404, 'not here');
  const listUrl = `${MIRROR}/list`;
  await expect(fetched('1'.repeat(64))).rejects.toMatchObject({ code: 'DAAS_INSTALL_CHECKSUM_DIFFERS' });
  await expect(fetched({ listUrl, name: 'k3s-arm64' })).rejects.toMatchObject({
    code: 'DAAS_INSTALL_DOWNLOAD_FAILED',
    message: expect.stringContaining('it lists no SHA-256 of k3s-arm64') as string,
  });
  await expect(fetched(sum, '/gone')).rejects.toThrow('HTTP 404');
  expect(await readdir(directory)).toEqual([]);
  await fetched({ listUrl, name: 'k3s' });
  expect(await readFile(place)).toEqual(body);
  expect((await stat(place)).mode & 0o777).toBe(0o755);
});

test('a list without end is given up before it fills the memory', async () => {
  serve('/k3s', 200, body);
  serve('/list', 200, `${sum}  k3s\n${'#'.repeat(64 * 1024)}`);
  await expect(fetched({ listUrl: `${MIRROR}/list`, name: 'k3s' })).rejects.toThrow(
    'longer than 65536 bytes',
  );
});

test('a redirect is followed to https alone, and not without end', async () => {
  serve('/k3s', 302, '', { location: 'https://store.example/file?signed=1' });
  serve('/file?signed=1', 200, body, {}, 'https://store.example');
  await fetched(sum);
  expect(await readFile(place)).toEqual(body);
  serve('/plain', 302, '', { location: 'http://store.example/file' });
  await expect(fetched(sum, '/plain')).rejects.toThrow(
    "it redirects to 'http://store.example/file', which is not https",
  );
  serve('/circle', 301, '', { location: '/circle' });
  await expect(fetched(sum, '/circle')).rejects.toThrow('redirects more than 5 times');
});

test('a link that lies in wait is not written through, and halves of killed downloads go', async () => {
  const elsewhere = join(directory, 'elsewhere');
  await writeFile(elsewhere, 'precious');
  await symlink(elsewhere, `${place}.download`);
  await symlink(elsewhere, place);
  await writeFile(`${place}.0123456789abcdef.download`, 'half a program');
  serve('/k3s', 200, body);
  await fetched(sum);
  expect(await readFile(elsewhere, 'utf8')).toBe('precious');
  expect((await readdir(directory)).toSorted()).toEqual(['elsewhere', 'k3s', 'k3s.download']);
});
