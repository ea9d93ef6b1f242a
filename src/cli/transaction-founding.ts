import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { ConfigurationError } from '#base';
import {
  type Endpoints,
  type Founded,
  type FoundingAct,
  type GasCost,
  hasLanded,
  openNetwork,
  type Publication,
  plainAct,
  readContractBuild,
  readPublication,
  type SignedFounding,
  sendFounding,
  simulateFounding,
  type UnsignedTransaction,
  verifyPublished,
  writeDeployment,
} from '#chain';
import { agreedPin, anchorsOnFirstUse, fingerprintOf } from '#proof';
import { accessOf, type DeploymentOptions, type NetworkOptions } from './chain-options.ts';
import { parameterRows } from './cluster-parameters.ts';
import { serverRows } from './cluster-servers.ts';
import type { Io } from './io.ts';

/** What is printed of an act that makes a deployment: of a publication the names of the modules, not the bytecode. */
export function foundingJson(act: FoundingAct): Readonly<Record<string, unknown>> {
  if (act.kind !== 'publish') return plainAct(act);
  return { kind: act.kind, modules: Object.keys(act.build.modules), isUpgradable: act.isUpgradable };
}

export async function foundingRows(act: FoundingAct): Promise<string[][]> {
  if (act.kind === 'create-cluster')
    return [...parameterRows(act.parameters), ...serverRows(act.servers ?? { servers: [], caHashes: [] })];
  const { modules, dependencies } = await readContractBuild();
  const isOurs = isDeepStrictEqual(act.build, { modules, dependencies });
  return [
    ['publishes', Object.keys(act.build.modules).join(', ')],
    ['bytecode', isOurs ? 'that of this program' : 'NOT that of this program: sign it only if it is yours'],
    ['afterwards', act.isUpgradable ? 'the sender can change it' : 'immutable: it cannot be changed'],
  ];
}

/** How an act that makes a deployment is tried and sent. */
interface FoundingWay {
  readonly simulate: () => Promise<GasCost>;
  readonly send: () => Promise<Founded & { readonly deployment: string }>;
}

interface SignedFile {
  readonly transaction: UnsignedTransaction;
  readonly act: FoundingAct;
  readonly signed: SignedFounding['signed'];
}

/**
 * Sends what makes a deployment, and writes the deployment file as the command itself would have. Sent again it writes the file
 * if it is not there, and leaves the pins of one that is.
 * @throws `DAAS_DEPLOYMENT_EXISTS` before anything is sent, when the file names another deployment.
 */
export async function throughFounding(
  io: Io,
  { transaction, act, signed }: SignedFile,
  options: NetworkOptions & DeploymentOptions,
): Promise<FoundingWay> {
  const { sender, packageId, chainId } = transaction;
  const { deployment: file } = options;
  const { addresses, access } = await accessOf(io, options);
  const network = await openNetwork(addresses, access);
  if (network.chainId !== chainId)
    throw new ConfigurationError(
      'DAAS_CHAIN_ID_MISMATCH',
      `the transaction is for the chain ${chainId}, the full node serves ${network.chainId}: correct --network or --endpoint`,
      { details: { expected: chainId, actual: network.chainId } },
    );
  const { endpoints } = network;
  const founding = { act, sender, packageId, signed };
  // A pin has to be at least as old as what it proves, whoever else sends the same bytes meanwhile.
  const agreed =
    act.kind === 'create-cluster'
      ? await agreedPin(endpoints.all.map((endpoint) => ({ read: endpoint.call })))
      : undefined;
  const isEarlier = await hasLanded(endpoints, founding);
  if (!isEarlier) await assertFree(file, transaction);
  const pin = isEarlier ? undefined : agreed;
  return {
    simulate: () => {
      if (isEarlier) io.note('It is carried out already. Sent again, it writes the deployment file');
      return simulateFounding(endpoints, founding);
    },
    send: async () => {
      const founded = await sendFounding(endpoints, founding);
      if (act.kind === 'publish') await verifyPublished(endpoints, founded.packageId, act.build);
      const known = await assertFree(file, { ...transaction, ...founded });
      // It was written before, and its pins may have been compared, or moved on, since.
      if (known?.clusterId !== undefined && known.trust)
        return { ...founded, deployment: file, fingerprint: fingerprintOf(known.trust) };
      return { ...founded, ...(await writeFounded(io, { file, endpoints, chainId, founded, pin })) };
    },
  };
}

interface Written {
  readonly file: string;
  readonly endpoints: Endpoints;
  readonly chainId: string;
  readonly founded: Founded;
  readonly pin: Awaited<ReturnType<typeof agreedPin>> | undefined;
}

async function writeFounded(io: Io, { file, endpoints, chainId, founded, pin }: Written) {
  const { packageId, clusterId } = founded;
  if (clusterId === undefined) {
    await writeDeployment(file, { chainId, packageId });
    io.step('written', file);
    return { deployment: file };
  }
  const anchors = pin ? { trust: pin } : await anchorsOnFirstUse(endpoints, clusterId);
  await writeDeployment(file, { chainId, packageId, clusterId, ...anchors });
  io.step('written', file);
  return { deployment: file, fingerprint: fingerprintOf(anchors.trust) };
}

/**
 * A file that names another cluster, or another package, is somebody's configuration.
 * @returns what it holds, if it is there.
 */
async function assertFree(
  file: string,
  { act, chainId, packageId, clusterId }: UnsignedTransaction,
): Promise<Publication | undefined> {
  if (!existsSync(file)) return undefined;
  const known = await readPublication(file);
  const isSame =
    known.chainId === chainId &&
    known.packageId === packageId &&
    (known.clusterId === clusterId || (act.kind === 'create-cluster' && known.clusterId === undefined));
  if (isSame) return known;
  throw new ConfigurationError(
    'DAAS_DEPLOYMENT_EXISTS',
    `${file} names ${known.clusterId === undefined ? `the package ${known.packageId}` : `the cluster ${known.clusterId}`} already: name another file with --deployment`,
    { details: { file } },
  );
}
