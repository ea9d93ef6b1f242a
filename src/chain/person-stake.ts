import type { Mutex } from '#base';
import type { StakeRecord } from '#domain';
import type { ChainReceipt } from '#plugin';
import { balanceTooLow } from './coins.ts';
import { ChainError } from './endpoints/index.ts';
import type { GasCost } from './gas.ts';
import { k8sGateway, staking } from './generated/index.ts';
import { prepareTransaction, type TransactionRequest } from './prepare-transaction.ts';
import { lastDigestOf } from './stake-life.ts';
import { stakesOf } from './stake-list.ts';
import {
  type Contract,
  type GasOffer,
  given,
  type Preview,
  type UnderTerms,
  underTerms,
} from './stake-requests.ts';
import { carryOut, type Staker, VISIBLE_AFTER_MS } from './staker.ts';
import type { Purpose } from './transaction-outbox.ts';

/** The stakes of people: they give no node its name, but somebody their rights in Kubernetes. */
export type PersonStakeType = 'user' | 'admin';

interface PersonToken {
  /** `resource:verb`, at most 16; the tier of the stake has to grant each. */
  readonly permissions: readonly string[];
  /** Ed25519 public key of the person's login, 32 bytes. */
  readonly holderKey: Uint8Array;
}
interface PersonStakeRequest extends PersonToken {
  readonly stakeType: PersonStakeType;
  readonly stakeMist: bigint;
  /** The terms that were judged. Default: the newest. */
  readonly termsVersion?: bigint | undefined;
}
interface PersonTokenRequest extends PersonToken {
  readonly recordId: string;
}

/** What a wallet does for a person, safe to kill: what is signed is in the journal before it is sent. */
export interface PersonStakes {
  /** The active stake of this type in the cluster, if this wallet has one that the full node or this journal knows of. */
  find(stakeType: PersonStakeType, known: readonly string[]): Promise<StakeRecord | undefined>;
  /** Stake and Seal token in one transaction. */
  stake(request: PersonStakeRequest): Promise<ChainReceipt>;
  /** The Seal token of a stake that has none. */
  mint(request: PersonTokenRequest): Promise<ChainReceipt>;
  /** What either would cost. Sends nothing. */
  preview(request: PersonStakeRequest | PersonTokenRequest): Promise<Preview & { readonly cost: GasCost }>;
}

export function createPersonStakes(staker: Staker, exclusive: Mutex): PersonStakes {
  return {
    find: (stakeType, known) => findStake(staker, stakeType, known),
    stake: (request) => exclusive(() => stake(staker, request)),
    mint: (request) => exclusive(() => mint(staker, request)),
    preview: (request) => preview(staker, request),
  };
}

async function findStake(
  staker: Staker,
  stakeType: PersonStakeType,
  known: readonly string[],
): Promise<StakeRecord | undefined> {
  const { client, wallet } = staker;
  const { endpoints, deployment } = client;
  const { packageId, clusterId } = deployment;
  const made = await madeHere(staker, stakeType);
  const { stakes } = await stakesOf({ endpoints, packageId }, wallet.address, [...known, ...made.keys()]);
  return [...stakes.map(({ record }) => record), ...made.values()].findLast(
    (record) => record.stakeType === stakeType && record.cluster === clusterId && record.status === 'active',
  );
}

/**
 * The records that this journal has paid for, as they are now. Throws while the endpoint does not show one of them: without
 * it the same stake would be paid twice.
 */
async function madeHere(
  { client, wallet, outbox, settleForMs }: Staker,
  stakeType: PersonStakeType,
): Promise<ReadonlyMap<string, StakeRecord>> {
  const { clusterId } = client.deployment;
  const ids = outbox
    .receiptsOf({ kind: 'join-person', wallet: wallet.address, clusterId })
    .filter(({ subject }) => subject.startsWith(`${stakeType}/`))
    .map(({ receipt }) => receipt.objectId);
  if (ids.length === 0) return new Map();
  return client.endpoints.withOne(
    async () => {
      const records = await client.records(ids);
      return new Map(ids.map((id) => [id, records.get(id) ?? notShown(id)]));
    },
    undefined,
    Math.min(settleForMs, VISIBLE_AFTER_MS),
  );
}

function notShown(id: string): never {
  throw new ChainError(
    'DAAS_CHAIN_UNAVAILABLE',
    `this journal has paid for the stake record ${id}, and the endpoint does not show it: nothing is paid until it does. Try again, or ask another endpoint`,
    { isRetryable: true, details: { recordId: id } },
  );
}

async function stake(staker: Staker, request: PersonStakeRequest): Promise<ChainReceipt> {
  const { client, wallet, outbox } = staker;
  const purpose = purposeOf(staker, 'join-person', `${request.stakeType}/${hex(request.holderKey)}`);
  return carryOut(staker, {
    purpose,
    found: async () => {
      const record = await findStake(staker, request.stakeType, []);
      if (!record) {
        await assertAffordable(staker, request.stakeMist);
        return undefined;
      }
      const receipt = outbox.receiptOf(purpose);
      if (receipt?.objectId === record.id) return receipt;
      return { objectId: record.id, digest: await lastDigestOf(client, record.id) };
    },
    request: async () =>
      stakeRequest(wallet.address, client.deployment, await underTerms(client, request), gasOf(staker)),
  });
}

async function mint(staker: Staker, request: PersonTokenRequest): Promise<ChainReceipt> {
  const { client, wallet, outbox } = staker;
  const subject = [request.recordId, hex(request.holderKey), ...request.permissions].join('/');
  const purpose = purposeOf(staker, 'mint-person', subject);
  return carryOut(staker, {
    purpose,
    found: async () => {
      const record = (await client.records([request.recordId])).get(request.recordId);
      const receipt = outbox.receiptOf(purpose);
      return receipt !== undefined && record?.token === receipt.objectId ? receipt : undefined;
    },
    request: () => tokenRequest(wallet.address, client.deployment, request, gasOf(staker)),
  });
}

async function preview(
  staker: Staker,
  request: PersonStakeRequest | PersonTokenRequest,
): Promise<Preview & { readonly cost: GasCost }> {
  const { client, wallet } = staker;
  const whole =
    'recordId' in request
      ? tokenRequest(wallet.address, client.deployment, request, gasOf(staker))
      : stakeRequest(wallet.address, client.deployment, await underTerms(client, request), gasOf(staker));
  if (!('recordId' in request)) await assertAffordable(staker, request.stakeMist);
  const { cost, budgetMist } = await client.endpoints.withOne((endpoint) =>
    prepareTransaction(endpoint, whole),
  );
  return { cost, budgetMist };
}

/** Throws `DAAS_BALANCE_TOO_LOW`, before anything is built. */
async function assertAffordable({ client, wallet, budgets }: Staker, stakeMist: bigint): Promise<void> {
  const { coinsMist, addressBalanceMist } = await client.balance(wallet.address);
  if (coinsMist < stakeMist + budgets.stakeMist)
    throw balanceTooLow(
      { sender: wallet.address, spendMist: stakeMist },
      coinsMist,
      budgets.stakeMist,
      addressBalanceMist,
    );
}

function stakeRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { stakeType, stakeMist, termsVersion, permissions, holderKey }: UnderTerms<PersonStakeRequest>,
  gas: GasOffer,
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

function tokenRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { recordId, permissions, holderKey }: PersonTokenRequest,
  gas: GasOffer,
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

function gasOf({ budgets, gasPriceMist }: Staker): GasOffer {
  return { maximumBudgetMist: budgets.stakeMist + budgets.mintMist, gasPriceMist };
}

function purposeOf(
  { client, wallet }: Staker,
  kind: 'join-person' | 'mint-person',
  subject: string,
): Purpose {
  return { kind, wallet: wallet.address, clusterId: client.deployment.clusterId, subject };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
