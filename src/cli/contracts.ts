import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigurationError, DaasError } from '#base';
import { operations, packageRoot, readContractBuild, verifyPublished, writeDeployment } from '#chain';
import { carryOut } from './carry-out.ts';
import { openSession, outsideOf, type SpendOptions, withSpending } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { withUnsigned } from './unsigned.ts';

/** `k3s-daas contracts build | test | publish`. */
export function contractsCommand(io: Io): Command {
  const command = new Command('contracts').description('The Move contracts: build, test, publish.');
  command
    .command('build')
    .description('Compile contracts/sources into contracts/build/k3s_daas.json (in a clone of the project).')
    .option('--check', 'write nothing; fail when the build differs from the sources')
    .option('--json', 'print one JSON object and nothing else')
    .action(async (options: { check?: boolean }) => {
      await runScript(io, 'build.ts', options.check ? ['--check'] : []);
      io.result({ built: !options.check, checked: Boolean(options.check) }, 'The contracts are built.');
    });
  command
    .command('test')
    .description('Run the contracts’ tests in the real Move VM (in a clone of the project).')
    .option('--json', 'print one JSON object and nothing else')
    .action(async () => {
      await runScript(io, 'run.ts', []);
      io.result({ passed: true }, 'All tests of the contracts passed.');
    });
  withUnsigned(withSpending(command.command('publish')))
    .description(
      'Publish the compiled contracts as an immutable package, and verify that the bytecode on chain is the build.',
    )
    .option('--upgradable', 'keep the upgrade cap: its owner can change the package for every cluster')
    .option('--build <file>', 'compiled modules (default: those of this program)')
    .option(
      '--deployment <file>',
      'where to write chain id and package id, for `cluster create`',
      'deployment.json',
    )
    .action((options: PublishOptions) => publish(io, options));
  return command;
}

interface PublishOptions extends SpendOptions {
  readonly upgradable?: boolean;
  readonly build?: string;
  readonly deployment: string;
}

async function publish(io: Io, options: PublishOptions): Promise<void> {
  const build = await readContractBuild(options.build);
  const session = await openSession(io, options);
  await assertNotDeployed(options);
  const isUpgradable = options.upgradable ?? false;
  const { endpoints, wallet, chainId, gas } = session;
  const actor = { endpoints, wallet, chainId, ...gas, ...outsideOf(options) };
  const plan = await operations.publish.plan(actor, { build, isUpgradable });
  const modules = Object.keys(build.modules);
  if (isUpgradable)
    io.warn('With --upgradable, stakers must trust the owner of the upgrade cap with their stakes.');
  const published = await carryOut(io, plan, options, {
    question: 'Publish the contracts?',
    facts: [
      ['publishes', modules.join(', ')],
      ['network', `${session.urls.join(', ')} (chain ${chainId})`],
      ['wallet', wallet.address],
      [
        'afterwards',
        isUpgradable
          ? 'the wallet owns the upgrade cap and can change it'
          : 'immutable: it cannot be changed',
      ],
    ],
    json: { chainId, wallet: wallet.address, modules, upgradable: isUpgradable },
  });
  if (!published) return;
  await verifyPublished(endpoints, published.packageId, build);
  io.step('the bytecode on chain is the build', `${modules.length} modules`);
  await writeDeployment(options.deployment, { chainId, packageId: published.packageId });
  io.step('written', options.deployment);
  io.result(
    { chainId, ...published, deployment: options.deployment },
    table([
      ['package', published.packageId],
      ['chain', chainId],
      ['transaction', published.digest],
      ...(published.upgradeCapId ? [['upgrade cap', published.upgradeCapId]] : []),
      ['next', 'k3s-daas cluster create'],
    ]),
  );
}

/** A file that names a cluster is somebody's configuration. */
async function assertNotDeployed({ deployment, dryRun }: PublishOptions): Promise<void> {
  if (!dryRun && existsSync(deployment))
    throw new ConfigurationError(
      'DAAS_DEPLOYMENT_EXISTS',
      `${deployment} exists: move it away, or name another file with --deployment`,
      { details: { file: deployment } },
    );
}

/** Runs a script of `contracts/test`, which come with a clone of the project only. */
async function runScript(io: Io, name: string, args: readonly string[]): Promise<void> {
  const root = await packageRoot();
  const script = join(root, 'contracts', 'test', name);
  if (!existsSync(script))
    throw new ConfigurationError(
      'DAAS_SOURCES_MISSING',
      `${script} does not exist: building and testing the contracts needs a clone of the project`,
      { details: { file: script } },
    );
  const child = spawn(process.execPath, ['--conditions=source', script, ...args], {
    cwd: root,
    // Standard output belongs to the result.
    stdio: ['ignore', io.isJson ? 'ignore' : 2, 2],
  });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  if (exitCode !== 0)
    throw new DaasError('DAAS_CONTRACTS_FAILED', `contracts/test/${name} failed: see what it printed above`, {
      details: { exitCode },
    });
}
