import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { makeCredential } from './credential.ts';
import { loginFileText } from './login-file.ts';
import { agentKeys, signWithAgent } from './ssh-agent.ts';

const { status } = spawnSync('ssh-agent', ['-h']);
const hasOpenSsh = status !== null;
const id = (digit: string) => `0x${digit.repeat(64)}`;

let directory = '';
let life: Lifetime;
const file = (name: string) => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'agent-'));
  life = new Lifetime();
  life.defer('the directory', () => rm(directory, { recursive: true, force: true }));
});
afterEach(() => life.close());

describe.skipIf(!hasOpenSsh)('a real ssh-agent (needs openssh-client)', () => {
  let socket = '';
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'pipe' });
  const load = (type: string, name: string) => {
    run('ssh-keygen', '-q', '-t', type, '-N', '', '-C', name, '-f', file(name));
    run('ssh-add', '-q', file(name));
  };
  beforeEach(async () => {
    socket = file('agent.sock');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    life.defer('the agent', () => agent.kill());
    // It writes its variables once it listens.
    await once(agent.stdout, 'data');
  });

  test('its Ed25519 keys are listed, and a login that names one is signed by it', async () => {
    load('ed25519', 'mine');
    load('ecdsa', 'other');
    const [key, ...others] = await agentKeys({ socket });
    expect(others).toEqual([]);
    expect(key?.comment).toBe('mine');
    const publicKey = key?.publicKey ?? new Uint8Array();
    const login = { chainId: 'chain', clusterId: id('c'), wallet: id('1'), sealTokenId: id('a') };
    const { writeFile } = await import('node:fs/promises');
    await writeFile(file('login.json'), loginFileText({ ...login, key: { kind: 'ssh-agent', publicKey } }));
    const request = { loginFile: file('login.json'), execInfo: '', anyCaller: true, nowMs: Date.now() };
    const made = JSON.parse(await makeCredential({ ...request, agentSocket: socket })) as {
      readonly status: { readonly token: string };
    };
    const [head = '', claims = '', signature = ''] = made.status.token.slice('seal_'.length).split('.');
    const { jwk } = JSON.parse(Buffer.from(head, 'base64url').toString()) as {
      readonly jwk: Readonly<Record<string, string>>;
    };
    expect(jwk.x).toBe(Buffer.from(publicKey).toString('base64url'));
    const { createPublicKey } = await import('node:crypto');
    const signer = createPublicKey({ key: { ...jwk }, format: 'jwk' });
    expect(verify(null, Buffer.from(`${head}.${claims}`), signer, Buffer.from(signature, 'base64url'))).toBe(
      true,
    );
  });

  test('a key that it has no longer is named, with the fix', async () => {
    load('ed25519', 'mine');
    const [key] = await agentKeys({ socket });
    run('ssh-add', '-q', '-D');
    await expect(
      signWithAgent({ socket }, key?.publicKey ?? new Uint8Array(), Buffer.from('x')),
    ).rejects.toMatchObject({
      code: 'DAAS_LOGIN_AGENT_REFUSED',
      message: expect.stringContaining('ssh-add'),
    });
  });
});

describe('an agent that lies', () => {
  const text = (value: string | Uint8Array) => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const { publicKey: known } = generateKeyPairSync('ed25519');
  const publicKey = new Uint8Array(Buffer.from(known.export({ format: 'jwk' }).x ?? '', 'base64url'));
  const signature = (type: string, bytes: Uint8Array) =>
    text(Buffer.concat([Buffer.of(14), text(Buffer.concat([text(type), text(bytes)]))]));

  async function agentThat(answers: Buffer | 'hangs' | 'closes'): Promise<string> {
    const server = createServer((connection) => {
      connection.on('error', () => undefined);
      connection.once('data', () => {
        if (answers === 'closes') connection.destroy();
        else if (answers !== 'hangs') connection.write(answers);
      });
      life.defer('a connection', () => connection.destroy());
    });
    server.listen(file('hostile.sock'));
    await once(server, 'listening');
    life.defer('the agent', () => server.close());
    return file('hostile.sock');
  }

  test.each([
    ['signs wrongly', signature('ssh-ed25519', new Uint8Array(64)), 'DAAS_LOGIN_AGENT_INVALID'],
    ['signs with a short signature', signature('ssh-ed25519', new Uint8Array(3)), 'DAAS_LOGIN_AGENT_INVALID'],
    ['signs in another way', signature('ssh-rsa', new Uint8Array(64)), 'DAAS_LOGIN_AGENT_INVALID'],
    ['ends in the middle of a field', text(Buffer.of(14, 0, 0, 1, 0)), 'DAAS_LOGIN_AGENT_INVALID'],
    ['declines', text(Buffer.of(5)), 'DAAS_LOGIN_AGENT_REFUSED'],
    ['announces a reply of 4 GiB', Buffer.of(255, 255, 255, 255, 14), 'DAAS_LOGIN_AGENT_UNAVAILABLE'],
    ['says nothing at all', text(''), 'DAAS_LOGIN_AGENT_UNAVAILABLE'],
    ['never answers', 'hangs' as const, 'DAAS_LOGIN_AGENT_UNAVAILABLE'],
    ['hangs up', 'closes' as const, 'DAAS_LOGIN_AGENT_UNAVAILABLE'],
  ])('and %s is an error, and no login comes of it', async (_name, answer, code) => {
    const agent = { socket: await agentThat(answer), withinMs: 300 };
    await expect(signWithAgent(agent, publicKey, Buffer.from('login'))).rejects.toMatchObject({ code });
  });

  test.each([
    ['more keys than it sends', Buffer.concat([Buffer.of(12), Buffer.from('ffffffff', 'hex')])],
    ['something else', Buffer.of(14, 0)],
  ])('and lists %s is an error', async (_name, reply) => {
    const agent = { socket: await agentThat(text(reply)), withinMs: 300 };
    await expect(agentKeys(agent)).rejects.toMatchObject({ code: 'DAAS_LOGIN_AGENT_INVALID' });
  });

  test('an agent that is not there is named, and so is a session without one', async () => {
    for (const socket of [file('none.sock'), undefined, ''])
      await expect(agentKeys({ socket })).rejects.toMatchObject({
        code: 'DAAS_LOGIN_AGENT_UNAVAILABLE',
        message: expect.stringContaining('SSH_AUTH_SOCK'),
      });
  });
});
