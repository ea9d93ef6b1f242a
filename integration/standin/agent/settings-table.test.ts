import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LaidOut, layOut, settingsTable } from '../../../src/agent/k3s-table.fixture.ts';
import { dataDirectory, HelpAsked, readValues } from './flags.ts';

test.each(settingsTable.filter(({ takes }) => takes))(
  'the stand-in takes what k3s takes: $name',
  async (row) => {
    await using laid = await layOut(row);
    const { values, ignoredWords } = await readValues(laid.argv, laid.env);
    const { config: _, ...flags } = values;
    const { 'data-dir': dataDir = '/var/lib/rancher/k3s', rootless } = flags;
    const back = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value).replaceAll(laid.directory, '{dir}'));
    expect(back(flags)).toEqual(row.takes?.flags);
    expect(ignoredWords).toEqual(row.takes?.ignoredWords ?? []);
    const directory = dataDirectory(dataDir as string, rootless === true, laid.env);
    expect(back(resolve(laid.directory, directory))).toBe(row.takes?.dataDir);
  },
);

test.each(settingsTable.filter(({ refuses }) => refuses !== undefined))(
  'the stand-in refuses what k3s refuses, in its words: $name',
  async (row) => {
    await using laid = await layOut(row);
    const reading = readValues(laid.argv, laid.env);
    const words = row.refuses?.replace('Error: ', '') ?? '';
    // Each YAML library and each runtime has words of its own.
    const isOfFile = /^(?:yaml|read|open)\b/.test(words) || words === 'bad flag syntax: --=';
    await expect(reading).rejects.toMatchObject(isOfFile ? {} : { message: words });
  },
);

test.each(settingsTable.filter(({ helps }) => helps))(
  'the stand-in shows its flags and ends: $name',
  async (row) => {
    await using laid = await layOut(row);
    await expect(readValues(laid.argv, laid.env)).rejects.toBeInstanceOf(HelpAsked);
  },
);

const binary = process.env.K3S_BIN ?? '';

/** Long before it looks for a server k3s waits for its token file, and says which. */
describe.skipIf(binary === '')('the real k3s still reads as the table says (K3S_BIN)', () => {
  let bundle: string;
  beforeAll(async () => {
    bundle = await mkdtemp(join(tmpdir(), 'k3s-bundle-'));
  });
  afterAll(() => rm(bundle, { recursive: true }));

  test.each(settingsTable)('$name', async (row) => {
    await using laid = await layOut(row);
    const end = await lastWords(bundle, laid);
    const back = end.replaceAll(laid.directory, '{dir}');
    const { takes, refuses, helps } = row;
    if (refuses !== undefined) expect(back).toBe(refuses);
    else if (helps) expect(back).toBe('help');
    else {
      const tokenFile = takes?.flags['token-file'];
      const token = takes?.flags.token;
      if (tokenFile) expect(back).toBe(`Waiting for ${String(tokenFile)} to be available`);
      else if (token) expect(back).toMatch(/--server is required/);
      else expect(back).toMatch(/--token is required|--server is required/);
    }
  });
});

/** Runs it on a machine whose state directories are empty, until it waits or ends. */
async function lastWords(bundle: string, { argv, env, directory }: LaidOut): Promise<string> {
  const script =
    'mount -t tmpfs none /var/lib && mkdir -p /var/lib/rancher/k3s/data && mount --bind "$0" /var/lib/rancher/k3s/data && exec "$@"';
  const child = spawn('unshare', ['--mount', 'sh', '-c', script, bundle, binary, 'agent', ...argv], {
    env: { PATH: process.env.PATH, ...env },
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  // Some versions end the message with a line's end.
  const waits = /msg="(Waiting for .* to be available)(?:\\n)?"/;
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (waits.test(output)) child.kill('SIGKILL');
    });
  const [exitCode] = await once(child, 'close');
  const waited = waits.exec(output)?.[1];
  if (waited !== undefined) return waited;
  if (exitCode === 0) return 'help';
  const fatal = /level=fatal msg=("(?:[^"\\]|\\.)*")/.exec(output)?.[1];
  return fatal === undefined ? output : (JSON.parse(fatal) as string);
}
