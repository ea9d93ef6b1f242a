import { Secret, systemClock } from '#base';
import {
  type Actor,
  type ChainClient,
  type ClusterSettings,
  type ContractBuild,
  createChainClient,
  type Deployment,
  defaultSettings,
  openNetwork,
  openWallet,
  operations,
  type Wallet,
} from '#chain';

export interface DeployOptions {
  readonly url: string;
  /** Admin, slasher and treasury of the cluster, unless the settings say otherwise. */
  readonly operator: Wallet;
  readonly build: ContractBuild;
  readonly settings?: Partial<ClusterSettings>;
  /** The chain is as near as loopback, but cannot be seen to be. */
  readonly allowInsecure: boolean;
}

export interface Deployed {
  readonly deployment: Deployment;
  readonly client: ChainClient;
  /** The operator without a cluster. */
  readonly publisher: Actor;
}

/** Publishes the package on a dev chain and creates one cluster. */
export async function deployCluster(options: DeployOptions): Promise<Deployed> {
  const { url, operator, build, settings = {}, allowInsecure } = options;
  const { endpoints, chainId } = await openNetwork([url], { clock: systemClock, allowInsecure });
  const publisher = { endpoints, wallet: operator };
  const { packageId } = await operations.publish.execute(publisher, { build });
  const { clusterId } = await operations.createCluster.execute(publisher, {
    packageId,
    settings: { ...defaultSettings(operator.address), ...settings },
  });
  const deployment = { chainId, packageId, clusterId };
  const client = createChainClient({ endpoints: [url], deployment, clock: systemClock, allowInsecure });
  return { deployment, client, publisher };
}

/** The wallet of a key that a test has made. */
export const testWallet = (secretKey: string, origin: string): Wallet =>
  openWallet({ key: new Secret(secretKey), origin });
