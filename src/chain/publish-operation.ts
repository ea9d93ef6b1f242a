import { normalizeSuiAddress } from '@mysten/sui/utils';
import { type ContractBuild, verifyBytecode } from './contract-build.ts';
import { ChainError, type Endpoints } from './endpoints/index.ts';
import type { Executed } from './executed-transaction.ts';
import { type Actor, type OperationCall, operation } from './operation.ts';

interface Published {
  readonly digest: string;
  readonly packageId: string;
  /** Its owner can change the package; `undefined` when the package is immutable. */
  readonly upgradeCapId: string | undefined;
}

interface Publishing {
  readonly build: ContractBuild;
  readonly isUpgradable?: boolean;
}

/** The calls of a publication by that sender. */
export const publishCall = (
  sender: string,
  { build, isUpgradable = false }: Publishing,
): OperationCall<Published> => ({
  build: (tx) => {
    const cap = tx.publish({
      modules: Object.values(build.modules),
      dependencies: build.dependencies.map((id) => normalizeSuiAddress(id)),
    });
    if (isUpgradable) tx.transferObjects([cap], sender);
    else tx.moveCall({ target: '0x2::package::make_immutable', arguments: [cap] });
  },
  resultOf: publishedIn,
});

/** Publishes the contracts; the upgrade cap is destroyed in the same transaction unless `isUpgradable`. */
export const publish = operation(({ wallet }: Actor, publishing: Publishing) => ({
  ...publishCall(wallet.address, publishing),
  act: { kind: 'publish', build: publishing.build, isUpgradable: publishing.isUpgradable ?? false },
}));

function publishedIn({ digest, published, created }: Executed): Published {
  const [packageId] = published;
  if (packageId)
    return {
      digest,
      packageId: normalizeSuiAddress(packageId),
      upgradeCapId: created.find(({ type }) => type.endsWith('::package::UpgradeCap'))?.id,
    };
  throw new ChainError(
    'DAAS_CHAIN_ANSWER_INCOMPLETE',
    `the transaction ${digest} landed, and the reply does not name the package it published: look it up by the digest`,
    { details: { digest } },
  );
}

/** Throws `DAAS_BYTECODE_DIFFERS`. */
export function verifyPublished(
  endpoints: Endpoints,
  packageId: string,
  build: ContractBuild,
  signal?: AbortSignal,
): Promise<void> {
  return endpoints.withOne((endpoint) => verifyBytecode(endpoint, packageId, build, signal), signal);
}
