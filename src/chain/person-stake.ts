import type { Mutex } from '#base';
import type { StakeRecord } from '#domain';
import type { ChainReceipt } from '#plugin';
import { balanceTooLow } from './coins.ts';
import { ChainError } from './endpoints/index.ts';
import type { GasCost } from './gas.ts';
import {
  type PersonStakeRequest,
  type PersonStakeType,
  type PersonTokenRequest,
  personStakeRequest,
  personTokenRequest,
} from './person-requests.ts';
import { prepareTransaction } from './prepare-transaction.ts';
import { type PersonAct, purposeOfAct } from './stake-acts.ts';
import { lastDigestOf } from './stake-life.ts';
import { stakesOf } from './stake-list.ts';
import { type GasOffer, type Preview, underTerms } from './stake-requests.ts';
import { carryOut, type Staker, VISIBLE_AFTER_MS } from './staker.ts';

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
  const whole = await underTerms(client, request);
  const purpose = purposeOf(staker, { kind: 'join-person', ...whole });
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
    request: () => personStakeRequest(wallet.address, client.deployment, whole, gasOf(staker)),
  });
}

async function mint(staker: Staker, request: PersonTokenRequest): Promise<ChainReceipt> {
  const { client, wallet, outbox } = staker;
  const purpose = purposeOf(staker, { kind: 'mint-person', ...request });
  return carryOut(staker, {
    purpose,
    found: async () => {
      const record = (await client.records([request.recordId])).get(request.recordId);
      const receipt = outbox.receiptOf(purpose);
      return receipt !== undefined && record?.token === receipt.objectId ? receipt : undefined;
    },
    request: () => personTokenRequest(wallet.address, client.deployment, request, gasOf(staker)),
  });
}

async function preview(
  staker: Staker,
  request: PersonStakeRequest | PersonTokenRequest,
): Promise<Preview & { readonly cost: GasCost }> {
  const { client, wallet } = staker;
  const whole =
    'recordId' in request
      ? personTokenRequest(wallet.address, client.deployment, request, gasOf(staker))
      : personStakeRequest(
          wallet.address,
          client.deployment,
          await underTerms(client, request),
          gasOf(staker),
        );
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

function gasOf({ budgets, gasPriceMist }: Staker): GasOffer {
  return { maximumBudgetMist: budgets.stakeMist + budgets.mintMist, gasPriceMist };
}

const purposeOf = ({ client, wallet }: Staker, act: PersonAct) =>
  purposeOfAct({ wallet: wallet.address, clusterId: client.deployment.clusterId }, act);
