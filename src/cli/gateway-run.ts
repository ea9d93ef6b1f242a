import { EXIT, type Log, type LogFields } from '#base';
import { type RunningGateway, startGateway } from '#gateway';
import { createLogger } from '#infrastructure';
import { chainAccessOf } from './chain-access.ts';
import { probeOf } from './chain-probe.ts';
import { deploymentOf } from './chain-settings.ts';
import { sayTrust } from './chain-trust.ts';
import { gatewaySection, keyFilesOf, withGatewayId } from './gateway-config.ts';
import {
  GatewayChain,
  GatewayKubernetes,
  GatewayStakedNodes,
  GatewayTenants,
  gatewayOptions,
  gatewayParts,
} from './gateway-parts.ts';
import { refuseWithoutPolicy } from './gateway-policy.ts';
import { catchHangups, createReloader } from './gateway-reload.ts';
import type { Io } from './io.ts';
import { reportTracing } from './report-tracing.ts';
import { foreignVariableWarnings, loadGatewaySettings } from './settings.ts';
import { signingKeyIfMade } from './signing-key.ts';

/** systemd and Kubernetes kill later than that. */
const stopDeadlineMs = 20_000;
/** After this time the log names what keeps the gateway from being ready. */
const patienceMs = 10_000;

/** `k3s-daas gateway run`: until SIGTERM, SIGINT or the gateway's own end; SIGHUP reloads. */
export async function runGateway(
  io: Io,
  flags: { readonly config?: string; readonly check?: boolean },
): Promise<void> {
  if (flags.check) {
    const { checkGateway } = await import('./gateway-check.ts');
    return checkGateway(io, flags);
  }
  const hangups = catchHangups();
  const settings = await loadGatewaySettings({ file: flags.config });
  const { value } = settings;
  const log = createLogger({
    level: value.log.level,
    format: io.isJson ? 'json' : value.log.format,
  });
  for (const detail of foreignVariableWarnings(settings)) log.warn('Configuration warning', { detail });
  await reportTracing(log);
  const config = withGatewayId(gatewaySection(settings));
  const deployment = await deploymentOf(settings);
  const access = await chainAccessOf(settings);
  const parts = gatewayParts({ config, deployment, access, probe: await probeOf(settings), log });
  // A wrong endpoint is an error before the cluster is asked.
  await parts.open(GatewayChain);
  sayTrust(deployment, log);
  await using kubernetes = await parts.open(GatewayKubernetes);
  await using _tenants = await parts.open(GatewayTenants);
  await using _stakedNodes = await parts.open(GatewayStakedNodes);
  if (!config.allowUnboundNames) await refuseWithoutPolicy(kubernetes);
  const { clusterId } = deployment;
  const options = await gatewayOptions(parts, {
    config,
    clusterId,
    endpoints: value.chain.endpoints.length,
    isProven: deployment.trust !== undefined,
    signingKey: await signingKeyIfMade(keyFilesOf(config.tls).signingKeyFile, log),
  });
  await using gateway = await startGateway(options);
  reportStart(gateway, log, { gatewayId: config.gatewayId, clusterId });
  hangups.act = createReloader({ gateway, settings, file: flags.config, log });
  const reason = await untilStopped(gateway);
  log.info('Gateway stops', { event: 'gateway.stopping', reason });
  await gateway.drain();
  exitAfter(stopDeadlineMs, log);
}

function reportStart(gateway: RunningGateway, log: Log, ids: LogFields): void {
  const { listenUrl, healthUrl, socketPath } = gateway;
  const facts = { listenUrl, healthUrl, socketPath, ...ids };
  log.info('Gateway listens', { event: 'gateway.listening', ...facts });
  void reportReady(gateway, log, facts);
}

async function untilStopped(gateway: RunningGateway): Promise<string> {
  const asked = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => asked.resolve(signal));
  return Promise.race([asked.promise, gateway.ended.then(() => 'it ended by itself')]);
}

/** A connection or a call that hangs must not keep the process: every decision is on disk, unless the disk is full. */
function exitAfter(deadlineMs: number, log: Log): void {
  setTimeout(() => {
    log.error('The gateway did not stop in time and exits now', {
      event: 'gateway.stop-overdue',
      deadlineMs,
    });
    process.exit(EXIT.unexpected);
  }, deadlineMs).unref();
}

/** Logs when `/readyz` first answers 200, and what fails if that takes long. */
async function reportReady(gateway: RunningGateway, log: Log, facts: LogFields): Promise<void> {
  const impatience = setTimeout(() => void reportFailing(gateway, log), patienceMs).unref();
  try {
    await gateway.untilReady();
    log.info('Gateway is ready', { event: 'gateway.ready', ...facts });
  } catch {
    // It stops before it was ready; `runGateway` logs that.
  } finally {
    clearTimeout(impatience);
  }
}

async function reportFailing(gateway: RunningGateway, log: Log): Promise<void> {
  const failing = (await gateway.health()).filter(({ isOk }) => !isOk);
  const detail = failing.map(({ name, detail: why }) => `${name}: ${why}`).join('; ');
  log.warn('Gateway is not ready yet', { event: 'gateway.waiting', detail });
}
