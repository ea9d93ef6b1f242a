import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startLyingNode } from '@k3s-daas/devnet';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '#base';
import { createChainClient, writeDeployment } from '#chain';
import { type LoginKey, readLoginFile } from '#login';
import { openNodeKey } from '#seal';
import { stakeCommand } from '../../src/cli/stake.ts';
import { tokenCommand } from '../../src/cli/token.ts';
import { unstakeCommand } from '../../src/cli/unstake.ts';
import { SUI } from './chain-world.ts';
import { holderKey, world } from './open-chain.ts';
import { runInProcess } from './run-command.ts';

const deploymentFile = () => join(world.directory, 'person-deployment.json');
beforeAll(() => writeDeployment(deploymentFile(), world.deployment));

const run = (...args: string[]) =>
  runInProcess(
    [stakeCommand, unstakeCommand, tokenCommand],
    [...args, '--endpoint', world.url, '--deployment', deploymentFile()],
  );

type Wallet = Awaited<ReturnType<typeof world.wallet>>;
interface Shown {
  readonly record: { readonly id: string; readonly stakeType: string; readonly token: string };
  readonly token: {
    readonly id: string;
    readonly permissions: readonly string[];
    readonly holderKey: string;
  };
  readonly [other: string]: unknown;
}
const loginOf = ({ address }: Wallet) => join(world.directory, `login-${address}.json`);

async function spend({ address, keyFile }: Wallet, ...args: string[]): Promise<Shown> {
  const journal = join(world.directory, `person-${address}.json`);
  return JSON.parse(await run(...args, '--key-file', keyFile, '--journal', journal, '--json')) as Shown;
}

const terms = async () => (await world.client.cluster()).termsFingerprint;
const agreed = async () => ['--yes', '--accept-terms', await terms()];

const keyFileOf = (key: LoginKey) => (key.kind === 'file' ? key.file : '');

describe('a stake for the use of kubectl, by commands alone', () => {
  let wallet: Wallet;
  let made: Shown;
  const login = () => loginOf(wallet);

  beforeAll(async () => {
    wallet = await world.wallet(100n);
    made = await spend(wallet, 'stake', '--for', 'user', '--login', login(), ...(await agreed()));
  });

  test('stake and token are there, with what the tier grants, and the login names them', async () => {
    expect(made.record).toMatchObject({ stakeType: 'user', nodeId: '', token: made.token.id });
    expect(made.token.permissions).toEqual(['pods:read', 'services:read']);
    const { key, ...file } = readLoginFile(login());
    const { chainId, clusterId } = world.deployment;
    expect(file).toMatchObject({ chainId, clusterId, wallet: wallet.address, sealTokenId: made.token.id });
    expect((await stat(keyFileOf(key))).mode & 0o777).toBe(0o600);
    expect((await stat(login())).mode & 0o777).toBe(0o600);
  });

  test('the same command again stakes nothing, and writes the login that was lost', async () => {
    const before = await world.balance(wallet.address);
    await writeFile(login(), '');
    await expect(
      spend(wallet, 'stake', '--for', 'user', '--login', login(), ...(await agreed())),
    ).rejects.toMatchObject({ code: 'DAAS_LOGIN_FILE_INVALID' });
    const { rm } = await import('node:fs/promises');
    await rm(login());
    const again = await spend(wallet, 'stake', '--for', 'user', '--login', login(), ...(await agreed()));
    expect(again.record.id).toBe(made.record.id);
    expect(readLoginFile(login()).sealTokenId).toBe(made.token.id);
    expect(await world.balance(wallet.address)).toBe(before);
  });

  test('a dry run shows what it grants and costs, and writes nothing', async () => {
    const other = await world.wallet(100n);
    const shown = await spend(other, 'stake', '--for', 'user', '--login', loginOf(other), '--dry-run');
    expect(shown).toMatchObject({ dryRun: true, permissions: ['pods:read', 'services:read'] });
    await expect(readFile(loginOf(other))).rejects.toThrow();
  });

  test('a permission above the tier is refused with the amount that grants it, before coins move', async () => {
    const other = await world.wallet(100n);
    const before = await world.balance(other.address);
    const asked = (permission: string) =>
      spend(other, 'stake', '--for', 'user', '--login', loginOf(other), '--permission', permission, '--yes');
    await expect(asked('pods:write')).rejects.toMatchObject({
      code: 'DAAS_PERMISSION_ABOVE_TIER',
      message: expect.stringContaining('begins at') as string,
    });
    await expect(asked('system:masters:all')).rejects.toMatchObject({ code: 'DAAS_PERMISSION_INVALID' });
    expect(await world.balance(other.address)).toBe(before);
  });

  test('a login of another wallet is not written over', async () => {
    const other = await world.wallet(100n);
    await expect(
      spend(other, 'stake', '--for', 'user', '--login', login(), ...(await agreed())),
    ).rejects.toMatchObject({ code: 'DAAS_LOGIN_FILE_TAKEN' });
  });

  test('the list tells people’s stakes from nodes’', async () => {
    const shown = JSON.parse(await run('stake', 'list', '--wallet', wallet.address, '--json')) as {
      readonly stakes: ReadonlyArray<{ readonly next: readonly string[] }>;
    };
    expect(shown.stakes).toMatchObject([{ next: ['stake top-up', 'token rotate', 'unstake'] }]);
    const text = await run('stake', 'list', '--wallet', wallet.address);
    expect(text).toContain('of type user');
    expect(text).toContain('pods:read services:read');
  });

  test('a rotation keeps the key and renews the login; another key goes into it too', async () => {
    const rotated = await spend(
      wallet,
      'token',
      'rotate',
      '--record',
      made.record.id,
      '--login',
      login(),
      '--yes',
    );
    expect(rotated.token.id).not.toBe(made.token.id);
    expect(rotated.token.holderKey).toBe(made.token.holderKey);
    expect(readLoginFile(login()).sealTokenId).toBe(rotated.token.id);
    const newKey = join(world.directory, `next-${wallet.address}.key`);
    const moved = await spend(
      wallet,
      ...`token rotate --record ${made.record.id} --yes --new-key-file ${newKey} --login`.split(' '),
      login(),
    );
    expect(moved.token.holderKey).not.toBe(made.token.holderKey);
    expect(readLoginFile(login())).toMatchObject({
      sealTokenId: moved.token.id,
      key: { kind: 'file', file: newKey },
    });
    const again = await spend(wallet, 'stake', '--for', 'user', '--login', login(), ...(await agreed()));
    expect(again.token.id).toBe(moved.token.id);
    expect(readLoginFile(login()).key).toEqual({ kind: 'file', file: newKey });
  });

  test('more permissions after a top-up: revoke, create, for the key that the login names', async () => {
    const { id } = made.record;
    const { key } = readLoginFile(login());
    const holderKey = Buffer.from((await openNodeKey(keyFileOf(key))).publicKey).toString('hex');
    await spend(wallet, 'stake', 'top-up', '--record', id, '--amount', '2', ...(await agreed()));
    await expect(
      spend(wallet, 'token', 'create', '--record', id, '--login', login(), '--yes'),
    ).rejects.toMatchObject({ code: 'DAAS_TOKEN_EXISTS' });
    await spend(wallet, 'token', 'revoke', '--record', id, '--yes');
    const created = await spend(
      wallet,
      ...`token create --record ${id} --yes --permission pods:read --permission pods:write --login`.split(
        ' ',
      ),
      login(),
    );
    expect(created.token.permissions).toEqual(['pods:read', 'pods:write']);
    expect(created.token.holderKey).toBe(holderKey);
    expect(readLoginFile(login())).toMatchObject({ sealTokenId: created.token.id, key });
  });

  test('flags of nodes are refused, and unstake ends it', async () => {
    await expect(
      spend(wallet, 'stake', '--for', 'user', '--node-id', 'x', '--login', login()),
    ).rejects.toMatchObject({ code: 'DAAS_FLAGS_CONFLICT' });
    const ended = await spend(wallet, 'unstake', '--record', made.record.id, '--yes');
    expect(ended).toMatchObject({ status: 'unbonding' });
  });
});

describe('a stake that the endpoint hides', () => {
  test('is not paid again, for another key neither, and is found once it is shown', async () => {
    await using liar = await startLyingNode(world.devnet.ledger);
    const wallet = await world.wallet(100n);
    const client = createChainClient({
      endpoints: [liar.url],
      deployment: world.deployment,
      clock: systemClock,
      retryForMs: 0,
    });
    const chain = await world.stakeChain(wallet, { client, settleForMs: 0 });
    const { termsVersion } = (await client.clusterState()).state;
    const request = {
      stakeType: 'user' as const,
      stakeMist: 2n * SUI,
      permissions: ['pods:read'],
      holderKey: holderKey(),
      termsVersion,
    };
    const { objectId } = await chain.person.stake(request);
    const before = await world.balance(wallet.address);
    liar.lies.objects.set(objectId, 'absent');
    for (const again of [request, { ...request, holderKey: holderKey() }])
      await expect(chain.person.stake(again)).rejects.toMatchObject({
        code: 'DAAS_CHAIN_UNAVAILABLE',
        isRetryable: true,
        message: expect.stringContaining(objectId) as string,
      });
    expect(await world.balance(wallet.address)).toBe(before);
    liar.beHonest();
    expect(await chain.person.stake(request)).toMatchObject({ objectId });
    expect(await world.balance(wallet.address)).toBe(before);
  });
});

describe.skipIf(spawnSync('ssh-agent', ['-h']).status === null)(
  'the key of a login in an ssh-agent (needs openssh-client)',
  () => {
    const file = (name: string) => join(world.directory, name);
    const agent = (program: string, ...args: string[]) =>
      execFileSync(program, args, {
        env: { ...process.env, SSH_AUTH_SOCK: file('agent.sock') },
        stdio: 'pipe',
      });
    let running: ChildProcess;
    beforeAll(async () => {
      const child = spawn('ssh-agent', ['-D', '-a', file('agent.sock')], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      running = child;
      // It writes its variables once it listens.
      await once(child.stdout, 'data');
      vi.stubEnv('SSH_AUTH_SOCK', file('agent.sock'));
      for (const name of ['one', 'two'])
        agent('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file(name));
      agent('ssh-add', '-q', file('one'));
    });
    afterAll(() => {
      vi.unstubAllEnvs();
      running.kill();
    });

    test('the token names it, no key is written, and a rotation takes another one or a file', async () => {
      const wallet = await world.wallet(100n);
      const login = loginOf(wallet);
      const made = await spend(
        wallet,
        ...`stake --for user --login ${login} --login-key ssh-agent`.split(' ').concat(await agreed()),
      );
      const { key } = readLoginFile(login);
      expect(key).toMatchObject({ kind: 'ssh-agent' });
      expect(made.token.holderKey).toBe(
        Buffer.from(key.kind === 'ssh-agent' ? key.publicKey : '').toString('hex'),
      );
      await expect(stat(login.replace('.json', '.key'))).rejects.toMatchObject({ code: 'ENOENT' });

      agent('ssh-add', '-q', file('two'));
      const rotate = (...flags: string[]) =>
        spend(wallet, 'token', 'rotate', '--record', made.record.id, '--login', login, '--yes', ...flags);
      await expect(rotate('--login-key', 'ssh-agent')).rejects.toMatchObject({
        code: 'DAAS_LOGIN_AGENT_KEY',
      });
      const second = await rotate('--login-key', 'ssh-agent', '--ssh-key', file('two.pub'));
      expect(second.token.holderKey).not.toBe(made.token.holderKey);
      expect((await rotate()).token.holderKey).toBe(second.token.holderKey);
      await rotate('--new-key-file', file('after.key'));
      expect(readLoginFile(login).key).toEqual({ kind: 'file', file: file('after.key') });
    });

    test('a key that is not in the agent is refused before coins move', async () => {
      const wallet = await world.wallet(100n);
      const before = await world.balance(wallet.address);
      agent('ssh-add', '-q', '-D');
      const stake = (...flags: string[]) =>
        run(
          'stake',
          '--for',
          'user',
          '--key-file',
          wallet.keyFile,
          '--login',
          loginOf(wallet),
          '--yes',
          ...flags,
        );
      await expect(stake('--login-key', 'ssh-agent', '--ssh-key', file('two.pub'))).rejects.toMatchObject({
        code: 'DAAS_LOGIN_AGENT_REFUSED',
      });
      await expect(stake('--login-key', 'ssh-agent')).rejects.toMatchObject({ code: 'DAAS_LOGIN_AGENT_KEY' });
      expect(await world.balance(wallet.address)).toBe(before);
    });
  },
);

test('the key of the wallet is no key of a login', async () => {
  const wallet = await world.wallet(100n);
  const keypair = Ed25519Keypair.fromSecretKey((await readFile(wallet.keyFile, 'utf8')).trim());
  const holder = join(world.directory, `wallet-${wallet.address}.pub`);
  await writeFile(holder, Buffer.from(keypair.getPublicKey().toRawBytes()).toString('hex'), { mode: 0o600 });
  await expect(
    run(
      'stake',
      '--for',
      'user',
      '--key-file',
      wallet.keyFile,
      '--holder-key-file',
      holder,
      ...(await agreed()),
    ),
  ).rejects.toMatchObject({ code: 'DAAS_LOGIN_KEY_IS_WALLET' });
});
