import { type Command, Option } from 'commander';
import { ConfigurationError, httpsOriginProblem, maskUserInfo, messageOf } from '#base';
import { GATEWAY_STATUSES, type GatewayStatus, operations } from '#chain';
import { GATEWAY_TIERS, type GatewayTier } from '#domain';
import { readBounded } from '#infrastructure';
import { carryOut } from './carry-out.ts';
import {
  ask,
  type DeploymentOptions,
  formatTime,
  openClusterActor,
  parseHex,
  type SpendOptions,
} from './chain-options.ts';
import { type Io, table } from './io.ts';
import { addressOf } from './sui-address.ts';
import { withClusterAct } from './unsigned.ts';

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

/** `k3s-daas cluster gateway add | status | register-attestation`. */
export function addGatewayCommands(command: Command, io: Io): void {
  const gateway = command.command('gateway').description('The gateways that workers can join through.');
  withClusterAct(gateway.command('add'))
    .description('Register a gateway, live at once. Prints its id, the audience of Seal proofs.')
    .option('--url <url>', 'https://… as workers reach it')
    .option('--tls-pin <hex>', 'SHA-256 of the TLS public key (SubjectPublicKeyInfo); at most two', collect)
    .option('--signing-key <hex>', 'Ed25519 public key of the gateway, 32 bytes')
    .option('--attestation-kind <name>', 'kind of attestation: none, or nitro with a measurement', 'none')
    .option('--measurement <hex>', 'measurement that the attestation must show', '')
    .addOption(
      new Option('--tier <name>', 'serves workers of this tier and above')
        .choices(GATEWAY_TIERS)
        .default('basic'),
    )
    .action((options: AddOptions) => gatewayAdd(io, options));
  withClusterAct(gateway.command('status'))
    .description('Set a gateway live, draining (no new workers) or retired (removed for good).')
    .argument('<gateway>', 'id of the gateway')
    .argument('<status>', GATEWAY_STATUSES.join(' | '))
    .action((id: string, status: string, options: SpendOptions & DeploymentOptions) =>
      gatewayStatus(io, id, status, options),
    );
  withClusterAct(gateway.command('register-attestation'))
    .description(
      'Show the chain a document of AWS Nitro for a gateway of kind nitro. It counts for a week; the wallet is the admin.',
    )
    .argument('<gateway>', 'id of the gateway')
    .requiredOption('--document <file>', 'the attestation document, as the enclave gives it (COSE_Sign1)')
    .action((id: string, options: AttestationOptions) => registerAttestation(io, id, options));
}

interface AttestationOptions extends SpendOptions, DeploymentOptions {
  readonly document: string;
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

/** A document of Nitro has some 5 kB; a pure input of a transaction at most 16. */
const LONGEST_DOCUMENT_BYTES = 16 * 1024;

async function registerAttestation(io: Io, id: string, options: AttestationOptions): Promise<void> {
  const gatewayId = addressOf(id, 'the gateway id');
  const document = await readDocument(options.document);
  const actor = await openClusterActor(io, options);
  const plan = await operations.registerAttestation.plan(actor, { gatewayId, document });
  const done = await carryOut(io, plan, options, {
    question: 'Register the attestation?',
    facts: [
      ['cluster', actor.client.deployment.clusterId],
      ['wallet', actor.wallet.address],
      ['gateway', gatewayId],
      ['document', `${options.document} (${document.length} bytes)`],
    ],
    json: { gatewayId, document: options.document, wallet: actor.wallet.address },
  });
  if (done)
    io.result(
      { gatewayId, ...done },
      table([
        ['gateway', gatewayId],
        ['measurement', done.measurement],
        ['enclave key', done.enclaveKey],
        ['counts until', formatTime(done.expiresAtMs)],
        ['transaction', done.digest],
      ]),
    );
}

async function readDocument(file: string): Promise<Uint8Array> {
  const refused = (why: string, cause?: unknown) =>
    new ConfigurationError('DAAS_EVIDENCE_UNREADABLE', `--document: '${file}' ${why}`, { cause });
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(file, LONGEST_DOCUMENT_BYTES);
  } catch (cause) {
    throw refused(
      `cannot be read (${messageOf(cause)}): give the file that the enclave's document is in`,
      cause,
    );
  }
  if (bytes.length > 0) return Uint8Array.from(bytes);
  throw refused('is empty: a document of Nitro has some 5 kB, and 16 kB at most');
}
