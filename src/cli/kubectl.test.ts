import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createIo } from './io.ts';
import { kubectlCommand } from './kubectl.ts';

const wallet = `0x${'71'.repeat(32)}`;
const review = (username: string) => ({
  status: {
    userInfo: {
      username,
      groups: [
        'seal:tier:basic',
        'seal:perm:pods:read',
        `seal:own:${wallet}:pods:read`,
        'system:authenticated',
      ],
      extra: {
        'k3s-daas.io/stake-record': ['0xb1'],
        'k3s-daas.io/tier': ['basic'],
        'k3s-daas.io/revoked-within': ['20s'],
      },
    },
  },
});
const node = {
  metadata: { name: 'worker-1' },
  spec: { taints: [{ key: 'k3s-daas.io/staked', value: 'basic', effect: 'NoSchedule' }] },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
};
const stakedNode = {
  metadata: { name: 'worker-1' },
  spec: { wallet },
  status: {
    stake: '2 SUI',
    state: 'Member',
    tier: 'basic',
    expires: 'epoch 370',
    conditions: [
      { type: 'Staked', status: 'True', reason: 'StakeGood', message: 'the stake covers this node' },
    ],
  },
};

describe('kubectl daas', () => {
  let directory = '';
  const path = process.env.PATH;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kubectl-'));
    process.env.PATH = `${directory}:${path}`;
  });
  afterEach(async () => {
    process.env.PATH = path;
    await rm(directory, { recursive: true, force: true });
  });

  /** A kubectl that knows these answers by its arguments before `-o json`; anything else is an unknown resource. */
  async function answers(known: Readonly<Record<string, object>>): Promise<void> {
    const cases = Object.entries(known).map(
      ([args, value]) => `"${args} -o json"*) echo '${JSON.stringify(value)}';;`,
    );
    const unknown = `*) echo "error: the server doesn't have a resource type" >&2; exit 1;;`;
    await writeFile(
      join(directory, 'kubectl'),
      `#!/bin/sh\ncase "$*" in\n${[...cases, unknown].join('\n')}\nesac\n`,
    );
    await chmod(join(directory, 'kubectl'), 0o755);
  }
  async function run(isJson: boolean, ...args: string[]): Promise<string> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const io = createIo({ json: isJson, stdout, stderr } as never);
    await kubectlCommand(io).exitOverride().parseAsync(args, { from: 'user' });
    return String(stdout.read() ?? '');
  }

  test('whoami shows wallet, stake, what may be done now and where', async () => {
    await answers({ 'auth whoami': review(`seal:${wallet}`) });
    expect(JSON.parse(await run(true, 'whoami', '--context', 'x'))).toEqual({
      wallet,
      recordId: '0xb1',
      tier: 'basic',
      permissions: ['pods:read'],
      revokedWithin: '20s',
      namespace: `seal-${'71'.repeat(20)}`,
    });
    expect(await run(false, 'whoami')).toContain('this login ends within 20s');
  });

  test('another kind of login is named', async () => {
    await answers({ 'auth whoami': review('kubernetes-admin') });
    await expect(run(false, 'whoami')).rejects.toMatchObject({ code: 'DAAS_KUBECTL_NOT_SEAL' });
  });

  test('nodes shows the stake beside each node, with and without StakedNodes', async () => {
    const other = { ...node, metadata: { name: 'server' } };
    await answers({ 'get nodes': { items: [node, other] } });
    expect((await run(false, 'nodes')).split('\n')[1]).toMatch(/^server +Ready +- +-/);
    await answers({
      'get nodes': { items: [node, other] },
      'get stakednodes.k3s-daas.io': { items: [stakedNode] },
    });
    const [head, , line] = (await run(false, 'nodes')).split('\n');
    expect(head).toMatch(/^NAME +NODE +STAKE +STATE +TIER +EXPIRES +WALLET/);
    expect(line).toMatch(/^worker-1 +Ready +2 SUI +Member +basic +epoch 370 +0x71/);
  });

  test('why shows taints and conditions of one node, and names one that is not there', async () => {
    await answers({ 'get node worker-1': node, 'get stakednodes.k3s-daas.io worker-1': stakedNode });
    const text = await run(false, 'why', 'worker-1');
    expect(text).toContain('k3s-daas.io/staked=basic:NoSchedule');
    expect(text).toContain('True: the stake covers this node (StakeGood)');
    await expect(run(false, 'why', 'worker-9')).rejects.toMatchObject({ code: 'DAAS_NODE_NOT_SHOWN' });
  });

  test('a kubectl that fails or is missing is named with its last line', async () => {
    await writeFile(
      join(directory, 'kubectl'),
      '#!/bin/sh\necho "error: You must be logged in" >&2\nexit 1\n',
    );
    await chmod(join(directory, 'kubectl'), 0o755);
    await expect(run(false, 'nodes')).rejects.toMatchObject({
      code: 'DAAS_KUBECTL_FAILED',
      message: expect.stringContaining('You must be logged in') as string,
    });
    process.env.PATH = join(directory, 'nothing');
    await expect(run(false, 'nodes')).rejects.toMatchObject({ code: 'DAAS_KUBECTL_MISSING' });
  });
});
