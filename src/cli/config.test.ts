import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configCommand } from './config.ts';
import { createIo } from './io.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-config-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function run(content: unknown, ...flags: readonly string[]): Promise<string> {
  const file = join(directory, 'k3s-daas.json');
  await writeFile(file, JSON.stringify(content), { mode: 0o600 });
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  const io = createIo({ json: flags.includes('--json'), stdout: stream, stderr: stream });
  await configCommand(io).parseAsync(['--config', file, ...flags], { from: 'user' });
  return text;
}

const planted = 'suiprivkey1planted0secret0of0a0wallet';
const settings = {
  chain: { endpoints: ['http://127.0.0.1:9000'] },
  sui_private_key: planted,
  plugins: [
    { use: 'staking' },
    { use: './mine', config: { apiToken: 'hunter2', zone: 'a', nested: [{ password: 'hunter2' }] } },
  ],
};

test.each([[], ['--json']])(
  'every setting is printed with its origin, and no secret (%s)',
  async (...flags) => {
    const text = await run(settings, ...flags.filter(Boolean));
    expect(text).not.toContain(planted);
    expect(text).not.toContain('hunter2');
    expect(text).toContain('(sui_private_key)');
    expect(text).toContain('http://127.0.0.1:9000');
    if (flags.length === 0) return;
    expect(JSON.parse(text)).toMatchObject({
      file: join(directory, 'k3s-daas.json'),
      settings: {
        'chain.timeoutMs': { value: 10_000, origin: 'default' },
        'wallet.key': { value: '[secret]' },
        'stake.amountMist': { value: null, origin: 'default' },
        plugins: { value: [{ use: 'staking' }, { config: { apiToken: '[secret]', zone: 'a' } }] },
      },
    });
  },
);

test('--check loads the plugins and tells what is wrong with their configurations', async () => {
  const content = {
    ...settings,
    stake: { amountMist: 5 },
    plugins: [{ use: 'staking', config: { again: true } }],
  };
  await run(content);
  await expect(run(content, '--check')).rejects.toMatchObject({ code: 'DAAS_PLUGINS_INVALID', exitCode: 78 });
});
