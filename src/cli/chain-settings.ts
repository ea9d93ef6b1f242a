import { ConfigurationError, DaasError, type Journal } from '#base';
import {
  assertTermsNamed,
  type ChainClient,
  type Deployment,
  isPublicNetwork,
  openWallet,
  parseDeployment,
  readDeployment,
  readWallet,
  type Wallet,
  walletWithoutKey,
} from '#chain';
import { type Loaded, pathOf, rowOf } from './settings.ts';

/** The chain, the package and the cluster. A value in both the deployment file and the configuration must agree. */
export async function deploymentOf(settings: Loaded): Promise<Deployment> {
  const { chain: given, mockMode } = settings.value;
  const file = pathOf(settings, 'chain.deployment');
  const inline = { chainId: given.chainId, packageId: given.packageId, clusterId: given.clusterId };
  const deployment = parseDeployment(
    { ...(file === undefined ? {} : await readDeployment(file)), ...definedOf(inline) },
    'the configuration (chain.deployment, or chain.chainId, chain.packageId and chain.clusterId)',
  );
  if (file !== undefined) {
    const written = await readDeployment(file);
    for (const name of ['chainId', 'packageId', 'clusterId'] as const) {
      if (deployment[name] === written[name]) continue;
      const { origin } = rowOf(settings, `chain.${name}`);
      throw new ConfigurationError(
        'DAAS_DEPLOYMENT_MISMATCH',
        `chain.${name} is ${deployment[name]} (${origin}), the deployment file ${file} says ${written[name]}: correct one or remove it`,
        { details: { name, file } },
      );
    }
  }
  if (mockMode && isPublicNetwork(deployment.chainId, given.endpoints))
    throw new ConfigurationError(
      'DAAS_MOCK_MODE_REFUSED',
      `mock mode (${rowOf(settings, 'mockMode').origin}) is for the dev chain of this machine; chain ${deployment.chainId} at ${given.endpoints.join(', ')} is another: remove MOCK_MODE`,
      { details: { chainId: deployment.chainId } },
    );
  return deployment;
}

/** Throws `DAAS_TERMS_ANY_REFUSED`: a worker on a public network has to name the terms that it stakes on. */
export function refuseAnyTerms(settings: Loaded, { chainId }: Pick<Deployment, 'chainId'>): void {
  const { value, origin } = rowOf(settings, 'stake.acceptTerms');
  const urls = settings.value.chain.endpoints;
  assertTermsNamed(value, { chainId, urls }, `stake.acceptTerms, ${origin}`);
}

/** What is needed to find the staker of a node on chain. */
interface StakerSource {
  readonly chain: Pick<ChainClient, 'liveRecordOf' | 'records'>;
  readonly nodeId: string;
  /** Where the address is kept that was found: the chain may be away at the next start. */
  readonly journal?: Pick<Journal, 'read' | 'write'>;
}

/**
 * The wallet of this node's stake. Without a key on this machine it only has an address: `wallet.address`, else that of the
 * stake which stands for the node. Throws `DAAS_WALLET_MISSING` when there is neither.
 */
export async function stakerOf(settings: Loaded, source: StakerSource): Promise<Wallet> {
  const { key, keyFile, address } = settings.value.wallet;
  if (key !== undefined || keyFile !== undefined) return walletOf(settings);
  if (address !== undefined) return walletWithoutKey(normalizedAddress(address));
  const staker = await stakerOnChain(source);
  if (staker !== undefined) return walletWithoutKey(staker);
  throw new ConfigurationError(
    'DAAS_WALLET_MISSING',
    `no wallet key is configured, and nothing is staked for node '${source.nodeId}': set wallet.keyFile (K3S_DAAS_WALLET_KEY_FILE); or stake where the wallet is, for the node key that \`k3s-daas token node-key\` prints here: \`k3s-daas stake --node-id ${source.nodeId} --holder-key-file node.pub\``,
    { details: { nodeId: source.nodeId } },
  );
}

async function stakerOnChain({ chain, nodeId, journal }: StakerSource): Promise<string | undefined> {
  const key = `staker/${nodeId}`;
  const known = journal?.read(key);
  try {
    const id = await chain.liveRecordOf(nodeId);
    const staker = id === undefined ? undefined : (await chain.records([id])).get(id)?.staker;
    if (staker !== undefined && staker !== known) await journal?.write(key, staker);
    return staker ?? (typeof known === 'string' ? known : undefined);
  } catch (error) {
    // The agent runs on without the chain; who staked does not change while the stake stands.
    if (typeof known === 'string' && error instanceof DaasError && error.isRetryable) return known;
    throw error;
  }
}

const normalizedAddress = (address: string) => `0x${address.slice(2).toLowerCase().padStart(64, '0')}`;

/** The wallet that stakes, from `wallet.keyFile` or `wallet.key`; its address must be `wallet.address` if that is given. */
export async function walletOf(settings: Loaded): Promise<Wallet> {
  const { key, address } = settings.value.wallet;
  const file = pathOf(settings, 'wallet.keyFile');
  const fitting = address === undefined ? {} : { address };
  if (file !== undefined && key !== undefined)
    throw new ConfigurationError(
      'DAAS_WALLET_AMBIGUOUS',
      `the wallet key is given twice: wallet.keyFile (${rowOf(settings, 'wallet.keyFile').origin}) and wallet.key (${rowOf(settings, 'wallet.key').origin}): remove one`,
    );
  if (key !== undefined) return openWallet({ key, origin: rowOf(settings, 'wallet.key').origin, ...fitting });
  if (file === undefined)
    throw new ConfigurationError(
      'DAAS_WALLET_MISSING',
      'no wallet key is configured: set wallet.keyFile (K3S_DAAS_WALLET_KEY_FILE) to a file with the key of the wallet that stakes',
    );
  return readWallet(file, address);
}

function definedOf(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
