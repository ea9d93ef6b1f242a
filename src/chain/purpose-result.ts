import { ChainError } from './endpoints/index.ts';
import { type Executed, eventOf } from './executed-transaction.ts';
import { k8sGateway, staking } from './generated/index.ts';
import type { Purpose, Receipt } from './transaction-outbox.ts';

/**
 * What a transaction did for its purpose, by the events that name it. Throws `DAAS_CHAIN_ANSWER_INCOMPLETE` (retryable) when
 * the node leaves them out.
 */
export function resultOf(
  { kind }: Pick<Purpose, 'kind'>,
  transaction: Executed,
  packageId: string,
): Omit<Receipt, 'digest'> {
  const events: Events = {
    staking: (name) => eventOf(transaction, packageId, staking.MODULE, name),
    tokens: (name) => eventOf(transaction, packageId, k8sGateway.MODULE, name),
  };
  const result = READERS[kind](events);
  if (result) return result;
  throw new ChainError(
    'DAAS_CHAIN_ANSWER_INCOMPLETE',
    `the transaction ${transaction.digest} landed, and the node does not tell its events: try again, or ask another endpoint`,
    { isRetryable: true, details: { digest: transaction.digest } },
  );
}

interface Events {
  readonly staking: (name: keyof typeof staking.events) => Uint8Array | undefined;
  readonly tokens: (name: keyof typeof k8sGateway.events) => Uint8Array | undefined;
}
type Result = Omit<Receipt, 'digest'> | undefined;

const READERS: Readonly<Record<Purpose['kind'], (events: Events) => Result>> = {
  stake: recordOf,
  mint: mintedOf,
  join: joinedOf,
  'join-person': joinedOf,
  'mint-person': mintedOf,
  rotate: ({ tokens }) => {
    const bytes = tokens('SealTokenRotated');
    return bytes && { objectId: k8sGateway.SealTokenRotated.parse(bytes).token };
  },
  revoke: ({ tokens }) => {
    const bytes = tokens('SealTokenRevoked');
    return bytes && { objectId: k8sGateway.SealTokenRevoked.parse(bytes).token };
  },
  'top-up': ({ staking: read }) => amountOf(read('StakeToppedUp'), staking.StakeToppedUp),
  unstake: ({ staking: read }) => {
    const bytes = read('UnstakeRequested');
    return bytes && { objectId: staking.UnstakeRequested.parse(bytes).record };
  },
  withdraw: ({ staking: read }) => amountOf(read('StakeWithdrawn'), staking.StakeWithdrawn),
};

function recordOf({ staking: read }: Events): Result {
  const bytes = read('StakeCreated');
  return bytes && { objectId: staking.StakeCreated.parse(bytes).record };
}

function joinedOf(events: Events): Result {
  const [record, token] = [recordOf(events), mintedOf(events)];
  return record && token && { ...record, tokenId: token.objectId };
}

function mintedOf({ tokens }: Events): Result {
  const bytes = tokens('SealTokenCreated');
  return bytes && { objectId: k8sGateway.SealTokenCreated.parse(bytes).token };
}

interface AmountEvent {
  parse(bytes: Uint8Array): { readonly record: string; readonly amountMist: bigint };
}

function amountOf(bytes: Uint8Array | undefined, event: AmountEvent): Result {
  if (!bytes) return undefined;
  const { record, amountMist } = event.parse(bytes);
  return { objectId: record, amountMist };
}
