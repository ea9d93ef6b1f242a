import { z } from 'zod';
import { ClusterAct } from './cluster-act.ts';
import { FoundingAct } from './founding-act.ts';
import { Id, U64 } from './plain-fields.ts';
import type { MoneyAct as SignedMoneyAct } from './stake-acts.ts';

const Key = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
const Permissions = z.array(z.string()).readonly();
const nodeStake = { nodeId: z.string().min(1), stakeMist: U64, termsVersion: U64 };
const MoneyAct = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('stake'), ...nodeStake }),
  z.strictObject({ kind: z.literal('join'), ...nodeStake, holderKey: Key }),
  z.strictObject({ kind: z.literal('mint'), recordId: Id, holderKey: Key }),
  z.strictObject({
    kind: z.literal('join-person'),
    stakeType: z.enum(['user', 'admin']),
    stakeMist: U64,
    termsVersion: U64,
    permissions: Permissions,
    holderKey: Key,
  }),
  z.strictObject({
    kind: z.literal('mint-person'),
    recordId: Id,
    permissions: Permissions,
    holderKey: Key,
  }),
  z.strictObject({ kind: z.literal('rotate'), recordId: Id, tokenId: Id, holderKey: Key }),
  z.strictObject({ kind: z.literal('revoke'), recordId: Id, tokenId: Id }),
  z.strictObject({
    kind: z.literal('top-up'),
    recordId: Id,
    amountMist: U64,
    paidInMist: U64,
    termsVersion: U64,
  }),
  z.strictObject({ kind: z.literal('unstake'), recordId: Id }),
  z.strictObject({ kind: z.literal('withdraw'), recordId: Id }),
]);

/** What a file for other wallets can say: an act of a staker, one on the cluster, or one that makes a deployment. */
export const SignedAct = z.union([MoneyAct, ClusterAct, FoundingAct]);
export type SignedAct = SignedMoneyAct | ClusterAct | FoundingAct;

/** An act as JSON has it: numbers as digits, bytes in hex. */
export type PlainAct = { readonly kind: string } & Readonly<Record<string, unknown>>;

export function plainAct(act: SignedAct): PlainAct {
  return { ...(plainOf(act) as Record<string, unknown>), kind: act.kind };
}

function plainOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plainOf(inner)]));
}
