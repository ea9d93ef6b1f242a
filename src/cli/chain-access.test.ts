import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chainAccessOf } from './chain-access.ts';
import { readHeadersFile } from './headers-file.ts';
import { loadWorkerSettings } from './settings.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-chain-access-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function write(name: string, content: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
  await chmod(path, 0o600);
  return path;
}

test.each([
  ['a file', { chain: { endpoints: ['http://10.0.0.7:9000'] } }, {}],
  ['the seed’s key', { sui_rpc_endpoint: 'http://10.0.0.7:9000' }, {}],
  ['a variable', {}, { K3S_DAAS_CHAIN_ENDPOINTS: 'http://10.0.0.7:9000' }],
  ['the seed’s variable', {}, { SUI_RPC_ENDPOINT: 'http://10.0.0.7:9000' }],
])('http:// to another machine is refused from %s, unless it is allowed', async (_what, content, env) => {
  const file = await write('k.json', content);
  await expect(loadWorkerSettings({ file, env })).rejects.toMatchObject({
    code: 'DAAS_CONFIG_INVALID',
    message: expect.stringMatching(
      /http:\/\/10\.0\.0\.7:9000"? \((?:file|environment) .*chain\.allowInsecure/s,
    ),
  });
  const allowed = { ...env, K3S_DAAS_CHAIN_ALLOW_INSECURE: 'true' };
  expect((await loadWorkerSettings({ file, env: allowed })).value.chain.endpoints).toEqual([
    'http://10.0.0.7:9000',
  ]);
});

async function headersByUrl(file: string) {
  const { endpoints } = await chainAccessOf(await loadWorkerSettings({ file, env: {} }));
  return new Map(endpoints.map((endpoint) => [endpoint.url, endpoint.headers]));
}

function sent(headers: Awaited<ReturnType<typeof headersByUrl>>, url: string) {
  return [...(headers.get(url) ?? [])].map(([name, value]) => [name, value.reveal()]);
}

test('an endpoint has a proxy of its own, and one that is not configured is refused', async () => {
  const chain = { endpoints: ['https://a.example', 'https://b.example', 'https://c.example'] };
  const endpointProxies = {
    'https://a.example/': 'http://proxy.example:3128',
    'https://b.example': 'direct',
  };
  const file = await write('k.json', { chain: { ...chain, endpointProxies } });
  const { endpoints } = await chainAccessOf(await loadWorkerSettings({ file, env: {} }));
  expect(endpoints.map(({ proxy }) => (typeof proxy === 'object' ? proxy.url.href : proxy))).toEqual([
    'http://proxy.example:3128/',
    'direct',
    undefined,
  ]);
  const wrong = await write('k.json', {
    chain: { ...chain, endpointProxies: { 'https://d.example': 'direct' } },
  });
  await expect(chainAccessOf(await loadWorkerSettings({ file: wrong, env: {} }))).rejects.toMatchObject({
    code: 'DAAS_PROXY_INVALID',
    message: expect.stringContaining('https://d.example'),
  });
});

describe('headers for the full nodes', () => {
  test('come from a file that is its owner’s alone', async () => {
    const headersFile = await write('headers', '# provider\n\nX-Api-Key: k:1 2\nauthorization: Bearer b\n');
    const file = await write('k.json', { chain: { endpoints: ['https://a.example'], headersFile } });
    const headers = await headersByUrl(file);
    expect(sent(headers, 'https://a.example')).toEqual([
      ['x-api-key', 'k:1 2'],
      ['authorization', 'Bearer b'],
    ]);
    expect(inspect(headers)).not.toContain('k:1 2');
    await chmod(headersFile, 0o640);
    await expect(chainAccessOf(await loadWorkerSettings({ file, env: {} }))).rejects.toMatchObject({
      code: 'DAAS_HEADERS_FILE_EXPOSED',
    });
  });

  test('or from the setting, where they are secrets', async () => {
    const file = await write('k.json', {
      chain: { endpoints: ['https://a.example'], headers: { 'x-key': 'zq9-value' } },
    });
    const settings = await loadWorkerSettings({ file, env: {} });
    expect(inspect(settings, { depth: 10 })).not.toContain('zq9-value');
    expect(sent(await headersByUrl(file), 'https://a.example')).toEqual([['x-key', 'zq9-value']]);
  });

  test('with several endpoints belong to the one whose URL is above them', async () => {
    const headersFile = await write(
      'headers',
      '[https://B.example/]\nx-key: b\n[https://other.example]\nx-key: o\n',
    );
    const file = await write('k.json', {
      chain: { endpoints: ['https://a.example', 'https://b.example'], headersFile },
    });
    const headers = await headersByUrl(file);
    expect(sent(headers, 'https://a.example')).toEqual([]);
    expect(sent(headers, 'https://b.example')).toEqual([['x-key', 'b']]);
  });

  test.each([
    ['before any heading', { file: 'x-key: zq9' }],
    ['of the setting', { headers: { 'x-key': 'zq9' } }],
    ['under headings that name no endpoint', { file: '[https://c.example]\nx-key: zq9\n' }],
  ])('%s, with several endpoints, are refused: no other node may see a key', async (_what, given) => {
    const headersFile = 'file' in given ? await write('headers', given.file) : undefined;
    const chain = {
      endpoints: ['https://a.example', 'https://b.example'],
      headersFile,
      ...('headers' in given && { headers: given.headers }),
    };
    const file = await write('k.json', { chain });
    const error = await headersByUrl(file).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'DAAS_HEADERS_UNASSIGNED', exitCode: 78 });
    expect(String(error)).not.toContain('zq9');
  });

  test.each([
    ['x-key', 'DAAS_HEADERS_INVALID'],
    ['[b.example]', 'DAAS_HEADERS_INVALID'],
    ['x key: secretvalue', 'DAAS_HEADERS_INVALID'],
    ['host: secretvalue', 'DAAS_HEADERS_INVALID'],
    ['x-key: secret\u0001value', 'DAAS_HEADERS_INVALID'],
    ['grpc-timeout: secretvalue', 'DAAS_HEADERS_INVALID'],
  ])('%j is none, and its value is not repeated', async (line, code) => {
    const headersFile = await write('headers', line);
    const error = await readHeadersFile(headersFile).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code, exitCode: 78 });
    expect(String(error)).toContain('line 1');
    expect(String(error)).not.toContain('secret');
  });
});
