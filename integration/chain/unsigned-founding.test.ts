import { existsSync } from 'node:fs';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { systemClock } from '#base';
import { createChainClient, readDeployment, readPublication } from '#chain';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { contractsCommand } from '../../src/cli/contracts.ts';
import { transactionCommand } from '../../src/cli/transaction.ts';
import { world } from './open-chain.ts';
import { runInProcess } from './run-command.ts';
import { type Account, account, multisig, refusal, signing } from './sign-elsewhere.ts';

/** A package is published and a cluster made by a wallet whose keys no command sees. */

let admin: Account;
let deployment: string;
let files = 0;
const nextFile = () => {
  files += 1;
  return join(world.directory, `founding-${files}.json`);
};
beforeAll(async () => {
  admin = await multisig();
  deployment = join(world.directory, 'founded.json');
});

const commands = [contractsCommand, clusterCommand, transactionCommand];
const networkArgs = () => ['--endpoint', world.url, '--deployment', deployment];
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const network = args[0] === 'transaction' && args[1] === 'show' ? [] : networkArgs();
  return JSON.parse(await runInProcess(commands, [...args, ...network, '--json']));
}
const shown = (file: string) => runInProcess(commands, ['transaction', 'show', file]);
const { send } = signing({ json, nextFile });

async function written(...words: string[]): Promise<string> {
  const file = nextFile();
  await json(...words, '--unsigned', file, '--sender', admin.address);
  return file;
}

test('a multisig publishes the contracts: the file shows whose bytecode it is, and sending it writes the deployment file', async () => {
  const file = await written('contracts', 'publish');
  expect(existsSync(deployment)).toBe(false);
  expect(await shown(file)).toMatch(/bytecode +that of this program/);
  expect(await send(file, [admin], '--dry-run')).toMatchObject({ dryRun: true, kind: 'publish' });
  expect(existsSync(deployment)).toBe(false);
  const sent = await send(file, [admin]);
  expect(sent).toMatchObject({ kind: 'publish', isUpgradable: false, deployment });
  expect(await readPublication(deployment)).toEqual({
    chainId: world.deployment.chainId,
    packageId: sent.packageId,
  });
  expect(await send(file, [admin])).toEqual(sent);
});

test('a multisig makes a cluster of that package and is its admin; the file is written again after a kill', async () => {
  const file = await written(
    'cluster',
    'create',
    '--minimum-stake',
    '3',
    '--server',
    'https://k3s.example:6443',
  );
  expect(await shown(file)).toMatch(/minimum worker stake +3 SUI/);
  const sent = await send(file, [admin]);
  const founded = await readDeployment(deployment);
  expect(sent).toMatchObject({ kind: 'create-cluster', clusterId: founded.clusterId, deployment });
  const client = createChainClient({ endpoints: [world.url], deployment: founded, clock: systemClock });
  const { state } = await client.clusterState();
  expect(state).toMatchObject({ admin: admin.address, servers: ['https://k3s.example:6443'] });
  // Killed after the transaction had landed, before the file was written.
  const { packageId, chainId } = founded;
  await writeFile(deployment, JSON.stringify({ packageId, chainId }));
  expect(await send(file, [admin])).toMatchObject({ clusterId: founded.clusterId, digest: sent.digest });
  expect(await readDeployment(deployment)).toMatchObject({ clusterId: founded.clusterId, trust: {} });
  // Looked at first: it is carried out, not overtaken.
  expect(await send(file, [admin], '--dry-run')).toMatchObject({ dryRun: true });
  // Sent once more it leaves the pins that somebody has compared.
  const pinned = { ...founded, trust: { committee: chainId } };
  await writeFile(deployment, JSON.stringify(pinned));
  expect(await send(file, [admin])).toMatchObject({ clusterId: founded.clusterId });
  expect(JSON.parse(await readFile(deployment, 'utf8'))).toEqual(pinned);
  await writeFile(deployment, JSON.stringify(founded));
});

test('a deployment file that names another cluster is kept, and nothing is sent', async () => {
  const kept = await readFile(deployment, 'utf8');
  const { packageId } = await readDeployment(deployment);
  const before = await world.balance(admin.address);
  const file = nextFile();
  const words = ['cluster', 'create', '--package', packageId, '--sender', admin.address];
  await json(...words, '--unsigned', file);
  expect(await refusal(send(file, [admin]))).toMatchObject({ code: 'DAAS_DEPLOYMENT_EXISTS' });
  const publication = await moved(() => written('contracts', 'publish'));
  expect(await refusal(send(publication, [admin]))).toMatchObject({ code: 'DAAS_DEPLOYMENT_EXISTS' });
  expect(await world.balance(admin.address)).toBe(before);
  expect(await readFile(deployment, 'utf8')).toBe(kept);
});

/** `contracts publish` refuses to begin where a deployment file is. */
async function moved<T>(work: () => Promise<T>): Promise<T> {
  const aside = `${deployment}.aside`;
  await copyFile(deployment, aside);
  await rm(deployment);
  try {
    return await work();
  } finally {
    await copyFile(aside, deployment);
  }
}

test('a file that publishes other bytecode than it says, keeps the upgrade cap, or makes another cluster is refused before anybody signs', async () => {
  const publication = JSON.parse(await readFile(await moved(() => written('contracts', 'publish')), 'utf8'));
  const { packageId } = await readDeployment(deployment);
  const creation = JSON.parse(
    await readFile(await written('cluster', 'create', '--package', packageId), 'utf8'),
  );
  const stranger = await account(0n);
  const [[name]] = Object.entries(publication.act.build.modules) as [[string, string]];
  const modules = { ...publication.act.build.modules, [name]: 'AAAA' };
  const forgeries = [
    { ...publication, act: { ...publication.act, isUpgradable: true } },
    { ...publication, act: { ...publication.act, build: { ...publication.act.build, modules } } },
    {
      ...creation,
      act: { ...creation.act, parameters: { ...creation.act.parameters, treasury: stranger.address } },
    },
    { ...creation, packageId: stranger.address },
    { ...creation, clusterId: stranger.address },
    { ...publication, packageId: stranger.address },
    { ...creation, act: { kind: 'accept-admin' } },
  ];
  for (const forgery of forgeries) {
    const file = nextFile();
    await writeFile(file, JSON.stringify(forgery));
    expect(await refusal(send(file, [admin]))).toMatchObject({ code: 'DAAS_TRANSACTION_FILE_INVALID' });
  }
});
