import { k8sGateway, staking } from './generated/index.ts';
import type { TransactionRequest } from './prepare-transaction.ts';
import { type Contract, type GasOffer, given, type UnderTerms } from './stake-requests.ts';

/** The stakes of people: they give no node its name, but somebody their rights in Kubernetes. */
export type PersonStakeType = 'user' | 'admin';

interface PersonToken {
  /** `resource:verb`, at most 16; the tier of the stake has to grant each. */
  readonly permissions: readonly string[];
  /** Ed25519 public key of the person's login, 32 bytes. */
  readonly holderKey: Uint8Array;
}
export interface PersonStakeRequest extends PersonToken {
  readonly stakeType: PersonStakeType;
  readonly stakeMist: bigint;
  /** The terms that were judged. Default: the newest. */
  readonly termsVersion?: bigint | undefined;
}
export interface PersonTokenRequest extends PersonToken {
  readonly recordId: string;
}

/** Stakes for a person, mints its Seal token, and shares the record. */
export function personStakeRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { stakeType, stakeMist, termsVersion, permissions, holderKey }: UnderTerms<PersonStakeRequest>,
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId],
    spendMist: stakeMist,
    packageId,
    ...given(gas),
    build: (tx, objects) => {
      const cluster = objects.mutable(clusterId);
      const args = { cluster, coin: objects.coin(stakeMist), termsVersion };
      const record =
        stakeType === 'admin'
          ? staking.stakeForAdmin(tx, packageId, args)
          : staking.stakeForUser(tx, packageId, args);
      k8sGateway.createSealToken(tx, packageId, { cluster, record, permissions, holderKey });
      staking.share(tx, packageId, { record });
    },
  };
}

/** Mints the Seal token of a person's record. */
export function personTokenRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { recordId, permissions, holderKey }: PersonTokenRequest,
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId, recordId],
    spendMist: 0n,
    packageId,
    ...given(gas),
    build: (tx, objects) => {
      k8sGateway.createSealToken(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
        permissions,
        holderKey,
      });
    },
  };
}
