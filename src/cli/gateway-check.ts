import { EXIT, silentLog } from '#base';
import { chainAccessOf } from './chain-access.ts';
import { probeOf } from './chain-probe.ts';
import { deploymentOf } from './chain-settings.ts';
import { gatewaySection, keyFilesOf, withGatewayId } from './gateway-config.ts';
import { GatewayChain, GatewayKubernetes, GatewayMachines, gatewayParts } from './gateway-parts.ts';
import { refuseWithoutPolicy } from './gateway-policy.ts';
import { type Io, table } from './io.ts';
import { loadGatewaySettings } from './settings.ts';
import { signingKeyIfMade } from './signing-key.ts';
import { stateObjectsOf } from './state-objects.ts';

/**
 * `k3s-daas gateway run --check`: what `gateway run` would find at its start. It opens no port and writes no state, so it
 * may run beside the gateway, before a restart or a reload.
 */
export async function checkGateway(io: Io, flags: { readonly config?: string }): Promise<void> {
  const { rehearsed, rehearseStart } = await import('#gateway');
  const settings = await loadGatewaySettings({ file: flags.config });
  const config = withGatewayId(gatewaySection(settings));
  const deployment = await deploymentOf(settings);
  const access = await chainAccessOf(settings);
  const log = silentLog;
  const parts = gatewayParts({ config, deployment, access, log });
  const chain = await parts.open(GatewayChain);
  await using kubernetes = await parts.open(GatewayKubernetes);
  const signingKey = await signingKeyIfMade(keyFilesOf(config.tls).signingKeyFile, log);
  const { clusterId } = deployment;
  const state = { clusterId, openStateObjects: stateObjectsOf(config, log) };
  const checks = [
    { name: 'configuration', isOk: true, detail: `${settings.file ?? 'the environment'} can be read` },
    ...(await rehearseStart({ config, chain, kubernetes, signingKey, log, ...state })),
    await rehearsed('policy', async () => {
      if (config.allowUnboundNames) return 'not needed: gateway.allowUnboundNames';
      await refuseWithoutPolicy(kubernetes);
      return 'node names are bound';
    }),
    await rehearsed('probes', async () => {
      const probe = await probeOf(settings);
      const anchors = probe?.anchor ? `, anchors: ${probe.anchor}` : '';
      return probe
        ? `${probe.schedule.kind}, paid by ${probe.wallet.address}${anchors}`
        : 'none are paid for';
    }),
    await rehearsed('evidence of workers', async () => {
      const { mode, policyFile } = config.admit.attestation;
      return (await parts.open(GatewayMachines)) ? `${mode}, judged by ${policyFile}` : 'none is asked for';
    }),
  ];
  const isFit = checks.every(({ isOk }) => isOk);
  if (!isFit) process.exitCode = EXIT.unexpected;
  const rows = checks.map(({ name, isOk, detail }) => [isOk ? 'ok' : 'FAILS', name, detail]);
  io.result(
    { isFit, checks },
    `${table([['', 'CHECK', 'DETAIL'], ...rows])}\n\n${isFit ? 'The gateway can start.' : 'The gateway cannot start like this.'}`,
  );
}
