import { normalizeSuiAddress } from '@mysten/sui/utils';
import { type ContractBuild, verifyBytecode } from './contract-build.ts';
import { ChainError, type Endpoints } from './endpoints/index.ts';
import type { Executed } from './executed-transaction.ts';
import { type Actor, operation } from './operation.ts';

interface Published {
  readonly digest: string;
  readonly packageId: string;
  /** Its owner can change the package; `undefined` when the package is immutable. */
  readonly upgradeCapId: string | undefined;
}

/** Publishes the contracts; the upgrade cap is destroyed in the same transaction unless `isUpgradable`. */
export const publish = operation(
  (
    { wallet }: Actor,
    { build, isUpgradable = false }: { readonly build: ContractBuild; readonly isUpgradable?: boolean },
  ) => ({
    build: (tx) => {
      const cap = tx.publish({
        modules: Object.values(build.modules),
        dependencies: build.dependencies.map((id) => normalizeSuiAddress(id)),
      });
      if (isUpgradable) tx.transferObjects([cap], wallet.address);
      else tx.moveCall({ target: '0x2::package::make_immutable', arguments: [cap] });
    },
    resultOf: publishedIn,
  }),
);

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
