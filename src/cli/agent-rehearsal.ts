import { inspectAgent } from '#agent';
import { displayText, EXIT, systemClock } from '#base';
import { createChainClient } from '#chain';
import { chainAccessOf } from './chain-access.ts';
import { deploymentOf, walletOf } from './chain-settings.ts';
import { checkPlugins } from './config.ts';
import { missingDevnet } from './devnet-package.ts';
import type { Io } from './io.ts';
import { type Loaded, nodeIdOf } from './settings.ts';
import { stakeVerdict } from './stake-verdict.ts';

/** `--dry-run`: what is there, what would be done; reads alone. Ends with the exit code that the start would end with. */
export async function rehearse(
  io: Io,
  settings: Loaded,
  { stakeAgain = false }: { readonly stakeAgain?: boolean },
  args: readonly string[],
): Promise<number> {
  const { value } = settings;
  const nodeId = nodeIdOf(settings);
  await checkPlugins(settings, { stakeAgain });
  const missing = await missingDevnet(settings);
  if (missing) throw missing;
  const {
    plan: { dataDir },
    binary,
    version,
  } = await inspectAgent({ ...value.agent, args: [...args] }, process.env, nodeId);
  const wallet = await walletOf(settings);
  const chain = createChainClient({
    ...(await chainAccessOf(settings)),
    deployment: await deploymentOf(settings),
    clock: systemClock,
  });
  const cluster = await chain.cluster();
  const { plan, stop } = await stakeVerdict({
    ...value.stake,
    chain,
    cluster,
    wallet,
    nodeId,
    stateDir: value.stateDir,
    gasBudgets: value.chain.gasBudgets,
    stakeAgain,
  });
  const gateways = cluster.gateways.filter(({ isLive }) => isLive).map(({ url }) => url);
  io.result(
    {
      dryRun: true,
      nodeId,
      wallet: wallet.address,
      clusterId: cluster.id,
      plan,
      stop: stop?.code ?? null,
      gateways,
      binary,
      version,
      dataDir,
    },
    [
      `node      ${nodeId}`,
      `wallet    ${wallet.address}`,
      `cluster   ${cluster.id}`,
      `stake     ${plan}`,
      `gateways  ${gateways.map(displayText).join(', ') || 'none is live: the start would wait for one until join.deadlineMs'}`,
      `k3s       ${binary} (${version}), data in ${dataDir}`,
      'Nothing was sent, nothing was started.',
    ].join('\n'),
  );
  return stop?.exitCode ?? EXIT.ok;
}
