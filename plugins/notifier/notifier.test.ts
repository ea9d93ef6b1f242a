import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Notifier, type SentNotice } from 'k3s-daas/plugin';
import { describePlugin, loadPlugin } from 'k3s-daas/plugin/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import notifier from './index.ts';
import { journalLine } from './journal.ts';

const signal = new AbortController().signal;
const notice: SentNotice = {
  kind: 'slash_proposed',
  severity: 'critical',
  summary: 'a slash is proposed',
  remedy: 'answer it',
  subject: '0xproposal',
  nodeId: 'worker-1',
  sinceMs: 5,
  state: 'raised',
};

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'notifier-'));
});
afterEach(() => rm(directory, { recursive: true }));

describePlugin(notifier, test, {
  config: { journal: true },
  badConfigs: [
    { webhook: { url: 'ftp://example.com' } },
    { command: [] },
    { command: ['notify'] },
    { least: 'loud' },
    { webhooks: {} },
    { webhook: { url: 'http://alerts.example.com/hook', tokenFile: '/etc/token' } },
  ],
});

/** Takes one request and answers it. */
async function receiver(status = 204) {
  const { promise, resolve } = Promise.withResolvers<{ authorization: string | undefined; body: string }>();
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      response.writeHead(status).end();
      resolve({ authorization: request.headers.authorization, body });
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/secret-path`, received: promise, close: () => server.close() };
}

async function notify(config: Readonly<Record<string, unknown>>, sent = notice): Promise<void> {
  await using loaded = await loadPlugin(notifier, { config });
  await loaded.provided(Notifier).notify(sent, signal);
}

test('a webhook receives the whole notice, with the token of its file', async () => {
  const hook = await receiver();
  const tokenFile = join(directory, 'token');
  await writeFile(tokenFile, 'hook-token\n', { mode: 0o600 });
  await notify({ webhook: { url: hook.url, tokenFile } });
  const { authorization, body } = await hook.received;
  hook.close();
  expect(authorization).toBe('Bearer hook-token');
  expect(JSON.parse(body)).toEqual(notice);
});

test('a token that others can read is not sent, and a program that others can write is not run', async () => {
  const hook = await receiver();
  const tokenFile = join(directory, 'open-token');
  await writeFile(tokenFile, 'hook-token\n', { mode: 0o644 });
  await expect(notify({ webhook: { url: hook.url, tokenFile } })).rejects.toMatchObject({
    code: 'PLUGIN_TOKEN_EXPOSED',
    isRetryable: false,
  });
  hook.close();
  const program = join(directory, 'anybodys');
  await writeFile(program, '#!/bin/sh\n');
  await chmod(program, 0o777);
  await expect(notify({ command: [program] })).rejects.toMatchObject({ code: 'DAAS_FILE_UNTRUSTED' });
});

test('a webhook that refuses is a failure that may pass, and its path is not shown', async () => {
  const hook = await receiver(500);
  const failing = notify({ webhook: { url: hook.url } });
  await expect(failing).rejects.toMatchObject({ code: 'PLUGIN_WEBHOOK_FAILED', isRetryable: true });
  await expect(failing).rejects.not.toThrow('secret-path');
  hook.close();
});

test('a command receives the notice on its standard input', async () => {
  const taken = join(directory, 'taken');
  const program = join(directory, 'notify');
  await writeFile(program, `#!/bin/sh\ncat > ${taken}\necho "$K3S_DAAS_NOTICE $1" >> ${taken}\n`);
  await chmod(program, 0o755);
  await notify({ command: [program, 'an argument'] });
  const [json = '', words] = (await readFile(taken, 'utf8')).split('\n');
  expect(JSON.parse(json)).toEqual(notice);
  expect(words).toBe('slash_proposed an argument');
});

test('a command that fails, or is not there, is a failure that may pass', async () => {
  for (const command of [['/bin/false'], ['/nonexistent']])
    await expect(notify({ command })).rejects.toMatchObject({ code: 'PLUGIN_COMMAND_FAILED' });
});

test('notices below the least severity are not sent', async () => {
  await notify({ command: ['/bin/false'], least: 'critical' }, { ...notice, severity: 'warning' });
});

test('the journal gets the priority of the severity, and one line', () => {
  expect(journalLine(notice)).toBe('<3>k3s-daas slash_proposed: a slash is proposed. answer it\n');
  expect(journalLine({ ...notice, state: 'ended' })).toBe(
    '<5>k3s-daas slash_proposed: slash_proposed of worker-1 has ended\n',
  );
  expect(journalLine({ ...notice, severity: 'warning', summary: 'two\nlines' })).toBe(
    '<4>k3s-daas slash_proposed: two lines. answer it\n',
  );
});
