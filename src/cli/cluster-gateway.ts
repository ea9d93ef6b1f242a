import { type Command, Option } from 'commander';
import { ConfigurationError, httpsOriginProblem, maskUserInfo } from '#base';
import { GATEWAY_STATUSES, type GatewayStatus, operations } from '#chain';
import { GATEWAY_TIERS, type GatewayTier } from '#domain';
import {
  ask,
  carryOut,
  type DeploymentOptions,
  openClusterActor,
  parseHex,
  type SpendOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import { type Io, table } from './io.ts';
import { addressOf } from './sui-address.ts';

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

/** `k3s-daas cluster gateway add | status`. */
export function addGatewayCommands(command: Command, io: Io): void {
  const gateway = command.command('gateway').description('The gateways that workers can join through.');
  withDeployment(withSpending(gateway.command('add')))
    .description('Register a gateway, live at once. Prints its id, the audience of Seal proofs.')
    .option('--url <url>', 'https://… as workers reach it')
    .option('--tls-pin <hex>', 'SHA-256 of the TLS public key (SubjectPublicKeyInfo); at most two', collect)
    .option('--signing-key <hex>', 'Ed25519 public key of the gateway, 32 bytes')
    .option('--attestation-kind <name>', 'kind of attestation; only none is supported', 'none')
    .option('--measurement <hex>', 'measurement that the attestation must show', '')
    .addOption(
      new Option('--tier <name>', 'serves workers of this tier and above')
        .choices(GATEWAY_TIERS)
        .default('basic'),
    )
    .action((options: AddOptions) => gatewayAdd(io, options));
  withDeployment(withSpending(gateway.command('status')))
    .description('Set a gateway live, draining (no new workers) or retired (removed for good).')
    .argument('<gateway>', 'id of the gateway')
    .argument('<status>', GATEWAY_STATUSES.join(' | '))
    .action((id: string, status: string, options: SpendOptions & DeploymentOptions) =>
      gatewayStatus(io, id, status, options),
    );
}

interface AddOptions extends SpendOptions, DeploymentOptions {
  readonly url?: string;
  readonly tlsPin?: string[];
  readonly signingKey?: string;
  readonly attestationKind: string;
  readonly measurement: string;
  readonly tier: GatewayTier;
}

async function gatewayAdd(io: Io, options: AddOptions): Promise<void> {
  const url = options.url ?? (await ask(io, 'URL of the gateway (https://…)', '--url'));
  const problem = httpsOriginProblem(url);
  if (problem !== undefined)
    throw new ConfigurationError(
      'DAAS_GATEWAY_URL_INVALID',
      `${maskUserInfo(url)} (--url) is not the URL of a gateway: ${problem}`,
    );
  const signingKey =
    options.signingKey ?? (await ask(io, 'Signing key of the gateway (64 hex digits)', '--signing-key'));
  const actor = await openClusterActor(io, options);
  const pins = options.tlsPin ?? [];
  if (pins.length === 0)
    io.warn('Without --tls-pin, workers trust any certificate of the authorities they are configured with.');
  const plan = await operations.addGateway.plan(actor, {
    url,
    tlsPins: pins.map((pin) => parseHex(pin, '--tls-pin')),
    attestationKind: options.attestationKind,
    measurement: parseHex(options.measurement, '--measurement'),
    signingKey: parseHex(signingKey, '--signing-key'),
    tier: options.tier,
  });
  const added = await carryOut(io, plan, options, {
    question: 'Register the gateway?',
    facts: [
      ['cluster', actor.client.deployment.clusterId],
      ['wallet', actor.wallet.address],
      ['url', url],
      ['tier', options.tier],
      ['attestation', options.attestationKind],
      ...pins.map((pin): [string, string] => ['TLS pin', pin]),
    ],
    json: { url, tier: options.tier, tlsPins: pins, wallet: actor.wallet.address },
  });
  if (added)
    io.result(
      { ...added, url, tier: options.tier },
      table([
        ['gateway', added.gatewayId],
        ['url', url],
        ['transaction', added.digest],
      ]),
    );
}

async function gatewayStatus(
  io: Io,
  id: string,
  text: string,
  options: SpendOptions & DeploymentOptions,
): Promise<void> {
  const status = GATEWAY_STATUSES.find((name): name is GatewayStatus => name === text);
  if (!status)
    throw new ConfigurationError(
      'DAAS_STATUS_INVALID',
      `'${text}' is not a status of a gateway. Use ${GATEWAY_STATUSES.join(', ')}`,
    );
  const gatewayId = addressOf(id, 'the gateway id');
  const actor = await openClusterActor(io, options);
  const done = await carryOut(
    io,
    await operations.setGatewayStatus.plan(actor, { gatewayId, status }),
    options,
    {
      question: status === 'retired' ? 'Retire the gateway for good?' : `Set the gateway ${status}?`,
      facts: [
        ['cluster', actor.client.deployment.clusterId],
        ['wallet', actor.wallet.address],
        ['gateway', gatewayId],
        ['status', status],
      ],
      json: { gatewayId, status, wallet: actor.wallet.address },
    },
  );
  if (done)
    io.result({ gatewayId, status, ...done }, `The gateway ${gatewayId} is ${status} (${done.digest}).`);
}
