import { Command } from 'commander';
import { ConfigurationError, messageOf } from '#base';
import {
  type Deployment,
  decodeObject,
  type Endpoints,
  openNetwork,
  readDeployment,
  readKeptProof,
  writeDeployment,
} from '#chain';
import { readBounded } from '#infrastructure';
import {
  agreedPin,
  anchorsOnFirstUse,
  collectProof,
  fingerprintOf,
  formatPin,
  formatProofFile,
  type ProofDocument,
  type ProvenObject,
  type ProvenTransaction,
  parsePin,
  parseProofFile,
  type TrustAnchors,
  type TrustPin,
  verifyProofDocument,
} from '#proof';
import {
  accessOf,
  type DeploymentOptions,
  formatTime,
  type NetworkOptions,
  withDeployment,
  withNetwork,
} from './chain-options.ts';
import { type Io, table } from './io.ts';

/** `k3s-daas proof`: what the chain's validators signed, for people who trust no full node. */
export function proofCommand(io: Io): Command {
  const command = new Command('proof').description(
    'Proofs of what happened on chain: signed by Sui’s validators, checked without a network.',
  );
  withNetwork(withDeployment(command.command('pin')))
    .description('Show the trust pin of a network’s newest committee. Compare it with another source.')
    .option(
      '--write',
      'add it to the deployment file; for a cluster that is there, with a pin of its first epoch',
    )
    .option('--recent', 'with --write: as the recent pin, which replaces the one before it')
    .action((options: PinOptions) => pin(io, options));
  withNetwork(withDeployment(command.command('show <object>')))
    .description(
      'Write a proof of an object’s last change to standard output; <object> is a stake record, token or cluster id.',
    )
    .option(
      '--from <file>',
      'what a gateway or a host has kept, without a network: its proofs.db; <object> may be a node or a transaction too',
    )
    .option(
      '--pin <pin>',
      'the trust pin that the proof starts from (default: the one in the deployment file)',
    )
    .action((object: string, options: ShowOptions) => show(io, object, options));
  withDeployment(command.command('verify <file>'))
    .description('Check a proof file offline, against a trust pin.')
    .option('--pin <pin>', 'the trust pin (default: the one in the deployment file)')
    .option('--json', 'print one JSON object and nothing else')
    .action((file: string, options: VerifyOptions) => verify(io, file, options));
  return command;
}

interface PinOptions extends NetworkOptions, DeploymentOptions {
  readonly write?: boolean;
  readonly recent?: boolean;
}
interface ShowOptions extends NetworkOptions, DeploymentOptions {
  readonly pin?: string;
  readonly from?: string;
}
interface VerifyOptions extends DeploymentOptions {
  readonly pin?: string;
}

async function pin(io: Io, options: PinOptions): Promise<void> {
  const { nodes, chainId, urls } = await openNode(io, options);
  const current = await agreedPin(nodes.all.map((endpoint) => ({ read: endpoint.call })));
  const written = options.write ? await writePin(options, { nodes, chainId, current }) : undefined;
  const text = formatPin(current);
  const fingerprint = fingerprintOf(current);
  const confirmed = urls.length === 1 ? `Only ${urls[0]} has` : `${urls.join(', ')} have`;
  io.result(
    { chainId, pin: current, text, fingerprint, endpoints: urls, ...(written && { written }) },
    [
      text,
      `fingerprint ${fingerprint}`,
      ...(written
        ? Object.entries(written).map(
            ([name, value]) => `written as ${name}: ${formatPin(value as TrustPin)}`,
          )
        : []),
      `${confirmed} confirmed this pin. Compare it with another source before you trust it.`,
    ].join('\n'),
  );
}

interface Pinned {
  readonly nodes: Endpoints;
  readonly chainId: string;
  readonly current: TrustPin;
}

/** Writes the pin, or the pins, of a deployment; returns what it wrote. */
async function writePin(
  { deployment: file, recent }: PinOptions,
  { nodes, chainId, current }: Pinned,
): Promise<Partial<TrustAnchors>> {
  const deployment = await readDeployment(file);
  if (deployment.chainId !== chainId) {
    throw new ConfigurationError(
      'DAAS_CHAIN_ID_MISMATCH',
      `the node serves the chain ${chainId}, ${file} names ${deployment.chainId}: correct the endpoint or the deployment file`,
    );
  }
  const pins = recent ? recentPin(current, deployment, file) : await firstPins(nodes, deployment, file);
  await writeDeployment(file, { ...deployment, ...pins });
  return pins;
}

function recentPin(current: TrustPin, { trust }: Deployment, file: string) {
  if (!trust)
    throw new ConfigurationError(
      'DAAS_TRUST_PIN_MISSING',
      `${file} has no trust pin for a recent one to follow from: leave out --recent`,
      { details: { file } },
    );
  if ('committee' in current)
    throw new ConfigurationError(
      'DAAS_TRUST_PIN_INVALID',
      'the chain is in its first epoch: there is no newer checkpoint to pin',
    );
  return { recentTrust: current };
}

async function firstPins(nodes: Endpoints, { trust, clusterId }: Deployment, file: string) {
  if (!trust) return anchorsOnFirstUse(nodes, clusterId);
  throw new ConfigurationError(
    'DAAS_TRUST_PIN_EXISTS',
    `the trust pin is set already: ${formatPin(trust)} (${file}). Remove \`trust\` from the file to replace it; --recent adds a newer one beside it`,
    { details: { file } },
  );
}

async function show(io: Io, objectId: string, options: ShowOptions): Promise<void> {
  const { document, pin: trust } = await documentOf(io, objectId, options);
  // A node that serves rubbish is found out here, not by the reader of the file.
  const proven = verifyProofDocument(document, trust);
  io.step(`proven in checkpoint ${proven.checkpoint.height}`, proven.digest);
  process.stdout.write(formatProofFile(document));
}

async function documentOf(io: Io, name: string, options: ShowOptions) {
  if (options.from !== undefined) {
    const deployment = await deploymentOf(options);
    const pin = options.pin === undefined ? deployment?.trust : parsePin(options.pin, '--pin');
    return readKeptProof(options.from, { name, cluster: deployment, pin });
  }
  const pin = await trustOf(options);
  const { nodes, chainId } = await openNode(io, options);
  return { pin, document: await collectProof(nodes, { objectId: name, pin, chainId }) };
}

async function verify(io: Io, file: string, options: VerifyOptions): Promise<void> {
  const document = parseProofFile(await readProof(file));
  const trust = await trustOf(options);
  const deployment = await deploymentOf(options);
  if (deployment && deployment.chainId !== document.chainId) {
    io.warn(
      `the file names the chain ${document.chainId}, the deployment file ${deployment.chainId}: the pin decides`,
    );
  }
  const proven = verifyProofDocument(document, trust);
  io.result(proofJson(document, proven, deployment), proofText(trust, document, proven, deployment));
}

function proofText(
  trust: TrustPin,
  document: ProofDocument,
  { checkpoint, digest, objects, events, deleted }: ProvenTransaction,
  deployment: Deployment | undefined,
): string {
  const rows = [
    ['trust pin', formatPin(trust)],
    ['committees followed', String(document.committees.length)],
    ['checkpoint', `${checkpoint.height}, epoch ${checkpoint.epoch}, ${formatTime(checkpoint.timestampMs)}`],
    ['transaction', digest],
    ...objects.flatMap((object) => objectRows(object, deployment)),
    ...events.map(({ type }) => ['event', `${type.module}::${type.name}`]),
    ...deleted.map((id) => ['deleted', id]),
  ];
  return `The proof holds: Sui’s validators signed this.\n${table(rows)}\nIt shows what was written then, not that nothing was written since.`;
}

function objectRows(object: ProvenObject, deployment: Deployment | undefined): string[][] {
  const facts = factsOf(object, deployment);
  return [
    ['object', `${object.id}, version ${object.version}`],
    ['type', object.type ?? 'package'],
    ...Object.entries(facts ?? {}).map(([name, value]) => [`  ${name}`, String(value)]),
  ];
}

function proofJson(
  document: ProofDocument,
  { checkpoint, digest, objects, events, deleted }: ProvenTransaction,
  deployment: Deployment | undefined,
): Record<string, unknown> {
  return {
    chainId: document.chainId,
    checkpoint: {
      height: checkpoint.height,
      epoch: checkpoint.epoch,
      digest: checkpoint.digest,
      timestampMs: checkpoint.timestampMs,
    },
    transaction: digest,
    objects: objects.map((object) => ({
      id: object.id,
      version: object.version,
      digest: object.digest,
      type: object.type,
      facts: factsOf(object, deployment),
    })),
    events: events.map(({ packageId, type }) => ({ packageId, module: type.module, name: type.name })),
    deleted,
  };
}

/** What an object of our package says, when the deployment names the package. */
function factsOf({ type, contents }: ProvenObject, deployment: Deployment | undefined) {
  return type && deployment ? decodeObject(deployment.packageId, type, contents) : undefined;
}

async function openNode(io: Io, options: NetworkOptions) {
  const { urls, addresses, access } = await accessOf(io, options);
  const { endpoints, chainId } = await openNetwork(addresses, access);
  return { nodes: endpoints, chainId, urls };
}

async function trustOf({
  pin: given,
  deployment: file,
}: DeploymentOptions & { readonly pin?: string }): Promise<TrustPin> {
  if (given !== undefined) return parsePin(given, '--pin');
  const { trust } = await readDeployment(file);
  if (trust) return trust;
  throw new ConfigurationError(
    'DAAS_TRUST_PIN_MISSING',
    `no trust pin: ${file} has none. Pass --pin, or write one with \`k3s-daas proof pin --write\``,
    { details: { file } },
  );
}

/** A proof can be checked without a deployment file; with one, objects of its package are shown field by field. */
async function deploymentOf({ deployment: file }: DeploymentOptions): Promise<Deployment | undefined> {
  try {
    return await readDeployment(file);
  } catch (error) {
    if (error instanceof ConfigurationError && error.code === 'DAAS_DEPLOYMENT_UNREADABLE') return undefined;
    throw error;
  }
}

/** A committee of each epoch since the pin has some ten kilobytes: this is several years of days. */
const LONGEST_BYTES = 64 * 1024 * 1024;

async function readProof(file: string): Promise<string> {
  try {
    return (await readBounded(file, LONGEST_BYTES)).toString('utf8');
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_PROOF_UNREADABLE',
      `the proof file ${file} cannot be read (${messageOf(cause)})`,
      {
        cause,
        details: { file },
      },
    );
  }
}
