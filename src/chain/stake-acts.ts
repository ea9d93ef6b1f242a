import type { StakeRecord } from '#domain';
import { k8sGateway, staking } from './generated/index.ts';
import {
  type PersonStakeRequest,
  type PersonTokenRequest,
  personStakeRequest,
  personTokenRequest,
} from './person-requests.ts';
import type { TransactionRequest } from './prepare-transaction.ts';
import {
  type Contract,
  type GasOffer,
  given,
  mintRequest,
  stakeRequest,
  type UnderTerms,
} from './stake-requests.ts';
import type { Purpose } from './transaction-outbox.ts';

/** What a staker does with a stake that stands. Each names the state that it starts from, and ends it: it can land once. */
export type StakeAct =
  | RotateAct
  | { readonly kind: 'revoke'; readonly recordId: string; readonly tokenId: string }
  | TopUpAct
  | { readonly kind: 'unstake'; readonly recordId: string }
  | { readonly kind: 'withdraw'; readonly recordId: string };

interface RotateAct {
  readonly kind: 'rotate';
  readonly recordId: string;
  /** The token that is replaced. */
  readonly tokenId: string;
  /** Ed25519 public key that the new token is for, 32 bytes. */
  readonly holderKey: Uint8Array;
}

interface TopUpAct {
  readonly kind: 'top-up';
  readonly recordId: string;
  readonly amountMist: bigint;
  /** What was paid into the record so far (`paidInMist`): the amount is added once to that. */
  readonly paidInMist: bigint;
  /** The terms that were judged; the contracts refuse the coins under others. */
  readonly termsVersion: bigint;
}

interface StakeTerms {
  readonly nodeId: string;
  readonly stakeMist: bigint;
  readonly termsVersion: bigint;
}

/** What a person stakes for, and gets a Seal token by. */
export type PersonAct =
  | ({ readonly kind: 'join-person' } & UnderTerms<PersonStakeRequest>)
  | ({ readonly kind: 'mint-person' } & PersonTokenRequest);

/** Everything that a staker signs. */
export type MoneyAct =
  | StakeAct
  | PersonAct
  | ({ readonly kind: 'stake' } & StakeTerms)
  | ({ readonly kind: 'join'; readonly holderKey: Uint8Array } & StakeTerms)
  | { readonly kind: 'mint'; readonly recordId: string; readonly holderKey: Uint8Array };

const MAKING: ReadonlySet<MoneyAct['kind']> = new Set([
  'stake',
  'join',
  'mint',
  'join-person',
  'mint-person',
]);

/** Whether it is about a stake that stands. */
export function isStakeAct(act: MoneyAct): act is StakeAct {
  return !MAKING.has(act.kind);
}

/** What the act is for, as the journal names it. */
export function purposeOfAct(
  { wallet, clusterId }: { readonly wallet: string; readonly clusterId: string },
  act: MoneyAct,
): Purpose {
  return { kind: act.kind, wallet, clusterId, subject: [aboutOf(act), ...startOf(act)].join('/') };
}

function aboutOf(act: MoneyAct): string {
  if (act.kind === 'join-person') return act.stakeType;
  return act.kind === 'stake' || act.kind === 'join' ? act.nodeId : act.recordId;
}

function startOf(act: MoneyAct): string[] {
  switch (act.kind) {
    case 'stake':
      return [];
    case 'join':
    case 'join-person':
    case 'mint':
      return [Buffer.from(act.holderKey).toString('hex')];
    case 'mint-person':
      return [Buffer.from(act.holderKey).toString('hex'), ...act.permissions];
    case 'rotate':
      return [act.tokenId, Buffer.from(act.holderKey).toString('hex')];
    case 'revoke':
      return [act.tokenId];
    case 'top-up':
      return [`${act.paidInMist}+${act.amountMist}`];
    case 'unstake':
    case 'withdraw':
      return [];
    default:
      return act satisfies never;
  }
}

/** The transaction of an act that makes a stake or its first Seal token. */
export function makingRequest(
  sender: string,
  contract: Contract,
  act: Exclude<MoneyAct, StakeAct>,
  gas: GasOffer = {},
): TransactionRequest {
  switch (act.kind) {
    case 'stake':
    case 'join':
      return stakeRequest(sender, contract, act, gas);
    case 'mint':
      return mintRequest(sender, contract, act, gas);
    case 'join-person':
      return personStakeRequest(sender, contract, act, gas);
    case 'mint-person':
      return personTokenRequest(sender, contract, act, gas);
    default:
      return act satisfies never;
  }
}

/** The transaction of an act, on a record that was judged. */
export function actRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { act, record }: { readonly act: StakeAct; readonly record: Pick<StakeRecord, 'id' | 'token'> },
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId, record.id],
    owned: tokensOf(act, record),
    spendMist: act.kind === 'top-up' ? act.amountMist : 0n,
    packageId,
    ...given(gas),
    build: (tx, objects) => {
      const target = { cluster: objects.mutable(clusterId), record: objects.mutable(record.id) };
      const token = (id: string) => ({ ...target, token: objects.owned(id) });
      switch (act.kind) {
        case 'rotate':
          return void k8sGateway.rotateSealToken(tx, packageId, {
            ...token(act.tokenId),
            holderKey: act.holderKey,
          });
        case 'revoke':
          return void k8sGateway.revokeSealToken(tx, packageId, token(act.tokenId));
        case 'top-up': {
          const coin = objects.coin(act.amountMist);
          return void staking.topUp(tx, packageId, { ...target, coin, termsVersion: act.termsVersion });
        }
        case 'unstake':
          staking.requestUnstake(tx, packageId, target);
          // The token is dead from here on; deleting it brings its storage fee back.
          if (record.token !== undefined) k8sGateway.revokeSealToken(tx, packageId, token(record.token));
          return;
        case 'withdraw':
          return void tx.transferObjects([staking.withdraw(tx, packageId, target)], sender);
        default:
          return act satisfies never;
      }
    },
  };
}

function tokensOf(act: StakeAct, record: Pick<StakeRecord, 'token'>): string[] {
  if (act.kind === 'rotate' || act.kind === 'revoke') return [act.tokenId];
  return act.kind === 'unstake' && record.token !== undefined ? [record.token] : [];
}
