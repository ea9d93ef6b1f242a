import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type DevTsmOptions, devTsm } from './dev-tsm.ts';
import { ANYTHING, policyOf } from './policy.fixture.ts';
import { devProvider } from './provide-dev.ts';
import { tsmProvider } from './provide-tsm.ts';
import { NOW, REPORT_DATA } from './trial.fixture.ts';
import { type TsmFolder, tsmFolder } from './tsm-folder.ts';
import { verify } from './verify.ts';

const signal = AbortSignal.timeout(60_000);

/** A pretended guest that remembers its requests and what was left of them. */
function guest(options: Partial<DevTsmOptions> = {}) {
  const folder = devTsm({ kind: 'sev-snp', nowMs: NOW, ...options });
  const open = new Set<string>();
  const written: string[] = [];
  const watched: TsmFolder = {
    ...folder,
    make: async (name) => {
      await folder.make(name);
      open.add(name);
    },
    write: async (name, attribute, content) => {
      written.push(attribute);
      await folder.write(name, attribute, content);
    },
    remove: async (name) => {
      await folder.remove(name);
      open.delete(name);
    },
  };
  return { folder, watched, open, written };
}

const errno = (code: string) => Object.assign(new Error(`${code}: from the kernel`), { code });

test('a guest of SEV-SNP gives its report with the certificates that the host hands out', async () => {
  const { watched, open, folder } = guest();
  const { evidence } = await tsmProvider(watched).provide(REPORT_DATA, signal);
  expect(evidence.kind).toBe('sev-snp');
  expect(evidence.collateral.map(({ name }) => name)).toEqual(['certificate', 'certificate', 'certificate']);
  const accept = { 'sev-snp': { ...ANYTHING['sev-snp'], revocation: 'when-present' } };
  const policy = policyOf(accept, { mode: 'dev', devRoots: [folder.root()] });
  expect(verify(evidence, policy, { nowMs: NOW, reportData: REPORT_DATA }).reasons).toEqual([]);
  expect([...open]).toEqual([]);
});

test('a guest of TDX gives its quote; what the kernel lacks there is not asked for twice', async () => {
  const { evidence, devRoot } = await devProvider({ kind: 'tdx', nowMs: NOW }).provide(REPORT_DATA, signal);
  const policy = policyOf({ tdx: ANYTHING.tdx }, { mode: 'dev', devRoots: [devRoot] });
  expect(verify(evidence, policy, { nowMs: NOW, reportData: REPORT_DATA }).reasons).toEqual([]);
  const production = policyOf({ tdx: ANYTHING.tdx });
  expect(verify(evidence, production, { nowMs: NOW }).reasons.map(({ check }) => check)).toContain(
    'root-foreign',
  );
});

test('requests at the same time have directories of their own, and each its own report data', async () => {
  const { watched } = guest();
  const provider = tsmProvider(watched);
  const wanted = [1, 2, 3].map((byte) => Buffer.alloc(64, byte));
  const made = await Promise.all(wanted.map((data) => provider.provide(data, signal)));
  for (const [index, { evidence }] of made.entries())
    expect(Buffer.from(evidence.bytes).includes(wanted[index] ?? '')).toBe(true);
});

test('a request that another process has written to is given up', async () => {
  let isFirst = true;
  const { watched, open } = guest({
    between: async (folder, name) => {
      if (!isFirst) return;
      isFirst = false;
      await folder.write(name, 'inblob', Buffer.alloc(64, 9));
    },
  });
  await expect(tsmProvider(watched).provide(REPORT_DATA, signal)).rejects.toMatchObject({
    code: 'DAAS_TEE_DEVICE_FAILED',
    message: expect.stringContaining('written to 2 times, not 1') as string,
  });
  expect([...open]).toEqual([]);
});

test('a report that carries other data is not passed on, whatever the generation says', async () => {
  const { watched } = guest();
  const deaf = {
    ...watched,
    write: (name: string, attribute: string) => watched.write(name, attribute, Buffer.alloc(64, 9)),
  };
  await expect(tsmProvider(deaf).provide(REPORT_DATA, signal)).rejects.toThrow(
    'does not carry the report data',
  );
});

test('below a paravisor the report is asked for at the level that the guest may use', async () => {
  const { watched, written } = guest({ floor: 2 });
  await tsmProvider(watched).provide(REPORT_DATA, signal);
  expect(written).toEqual(['privlevel', 'inblob']);
});

test('report data of another length is refused before the kernel is asked', async () => {
  const { watched, written } = guest();
  for (const length of [0, 32, 63, 65])
    await expect(tsmProvider(watched).provide(Buffer.alloc(length), signal)).rejects.toMatchObject({
      code: 'DAAS_TEE_REPORT_DATA_INVALID',
    });
  expect(written).toEqual([]);
});

test.each([
  ['ENOENT', 'DAAS_TEE_DEVICE_MISSING', 'guests of SEV-SNP and TDX'],
  ['ENXIO', 'DAAS_TEE_DEVICE_MISSING', 'no driver is loaded'],
  ['EACCES', 'DAAS_TEE_DEVICE_MISSING', 'as root'],
  ['ENOMEM', 'DAAS_TEE_DEVICE_FAILED', 'ENOMEM'],
])('%s of the kernel is %s', async (code, ours, words) => {
  const { watched } = guest();
  const provider = tsmProvider({ ...watched, make: () => Promise.reject(errno(code)) });
  await expect(provider.provide(REPORT_DATA, signal)).rejects.toMatchObject({
    code: ours,
    message: expect.stringContaining(words) as string,
  });
});

test('a driver that is not known here is evidence for a program, named as the kernel names it', async () => {
  const { watched } = guest();
  const read = (name: string, attribute: string) =>
    attribute === 'provider'
      ? Promise.resolve(Buffer.from('arm_cca_guest\n'))
      : watched.read(name, attribute);
  const { evidence } = await tsmProvider({ ...watched, read }).provide(REPORT_DATA, signal);
  expect(evidence).toMatchObject({ kind: 'command', format: 'arm-cca-guest', collateral: [] });
});

/** The table with another length of its first certificate. */
function withLength(table: Buffer, length: number): Buffer {
  const longer = Buffer.concat([table, Buffer.alloc(length)]);
  longer.writeUInt32LE(length, 20);
  return longer;
}

test.each([
  ['does not end', (table: Buffer) => table.subarray(0, 72)],
  ['points behind its end', (table: Buffer) => table.subarray(0, table.length - 1)],
  ['names one twice', (table: Buffer) => Buffer.concat([table.subarray(0, 24), table])],
  ['has one of many bytes', (table: Buffer) => withLength(table, 20_000)],
])('a table of certificates that %s is said to be the host’s fault', async (_what, change) => {
  const { watched } = guest();
  const read = async (name: string, attribute: string) => {
    const bytes = await watched.read(name, attribute);
    return attribute === 'auxblob' ? change(bytes) : bytes;
  };
  await expect(tsmProvider({ ...watched, read }).provide(REPORT_DATA, signal)).rejects.toThrow(
    'the host’s table of certificates is not whole',
  );
});

test('the table is read in both orders in which hosts write the names of its entries', async () => {
  const { watched } = guest();
  const read = async (name: string, attribute: string) => {
    const bytes = Buffer.from(await watched.read(name, attribute));
    if (attribute === 'auxblob')
      for (const at of [0, 24, 48])
        for (const [from, to] of [
          [0, 4],
          [4, 6],
          [6, 8],
        ] as const)
          bytes.subarray(at + from, at + to).reverse();
    return bytes;
  };
  const { evidence } = await tsmProvider({ ...watched, read }).provide(REPORT_DATA, signal);
  expect(evidence.collateral).toHaveLength(3);
});

test('a host without certificates leaves them to be fetched', async () => {
  const { watched } = guest();
  const read = async (name: string, attribute: string) =>
    attribute === 'auxblob' ? Buffer.alloc(4096) : watched.read(name, attribute);
  const { evidence } = await tsmProvider({ ...watched, read }).provide(REPORT_DATA, signal);
  expect(evidence.collateral).toEqual([]);
});

test('attributes are files that are there: none is made, none is shortened', async () => {
  const place = await mkdtemp(join(tmpdir(), 'tsm-'));
  try {
    const folder = tsmFolder(place);
    expect(await tsmProvider(folder).find()).toEqual({ isHere: true, what: place });
    expect((await tsmProvider(tsmFolder(join(place, 'none'))).find()).isHere).toBe(false);
    await folder.make('request');
    await expect(folder.make('request')).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(folder.write('request', 'inblob', REPORT_DATA)).rejects.toMatchObject({ code: 'ENOENT' });
    await writeFile(join(place, 'request', 'inblob'), Buffer.alloc(66, 1));
    await folder.write('request', 'inblob', REPORT_DATA);
    expect(await readFile(join(place, 'request', 'inblob'))).toEqual(
      Buffer.concat([REPORT_DATA, Buffer.of(1, 1)]),
    );
    await mkdir(join(place, 'empty'));
    await folder.remove('empty');
    await expect(folder.read('empty', 'outblob')).rejects.toMatchObject({ code: 'ENOENT' });
  } finally {
    await rm(place, { recursive: true });
  }
});
