import { z } from 'zod';
import { GATEWAY_TIERS } from '#domain';
import { GATEWAY_STATUSES } from './contract-objects.ts';
import { Id, U64 } from './plain-fields.ts';

const Bytes = z
  .string()
  .regex(/^(?:[0-9a-f]{2})*$/)
  .transform((hex): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex')));
const Texts = z.array(z.string()).readonly();
const BytesList = z.array(Bytes).readonly();
const Proposal = { recordId: Id, proposalId: Id };

/** The parameters of a cluster. */
export const ParameterFields = {
  minimumStakeMist: U64,
  minimumTopUpMist: U64,
  tiers: z.array(z.strictObject({ stakeMist: U64, permissions: z.array(z.string()) })),
  unbondingMs: U64,
  maximumTokenEpochs: U64,
  slashers: z.array(Id),
  slashThreshold: U64,
  proposalLifeMs: U64,
  challengeMs: U64,
  treasury: Id,
};

/** How the machines of a cluster know its server. */
export const ServerFields = { servers: Texts, caHashes: BytesList };

const ScheduleParameters = z.strictObject({ kind: z.literal('schedule-parameters'), ...ParameterFields });

const AddGateway = z.strictObject({
  kind: z.literal('add-gateway'),
  url: z.string(),
  tlsPins: BytesList,
  attestationKind: z.string(),
  measurement: Bytes,
  signingKey: Bytes,
  tier: z.enum(GATEWAY_TIERS),
});

const ProposeSlash = z.strictObject({
  kind: z.literal('propose-slash'),
  recordId: Id,
  amountMist: U64,
  reason: z.string(),
  evidence: Bytes.optional(),
  /** The same transaction executes the slash. */
  andExecute: z.boolean(),
});

/** What a wallet does on a cluster besides its own stake, as a file for other wallets says it: amounts in MIST, times in ms. */
export const ClusterAct = z.discriminatedUnion('kind', [
  ScheduleParameters,
  z.strictObject({ kind: z.literal('remove-slasher'), slasher: Id }),
  z.strictObject({ kind: z.literal('raise-threshold'), threshold: U64 }),
  z.strictObject({ kind: z.literal('accept-treasury') }),
  z.strictObject({ kind: z.literal('offer-admin'), admin: Id }),
  z.strictObject({ kind: z.literal('accept-admin') }),
  z.strictObject({ kind: z.literal('set-servers'), ...ServerFields }),
  z.strictObject({ kind: z.literal('reserve-node-id'), nodeId: z.string(), reservedFor: Id }),
  z.strictObject({ kind: z.literal('unreserve-node-id'), nodeId: z.string() }),
  z.strictObject({ kind: z.literal('force-unstake'), recordId: Id }),
  AddGateway,
  z.strictObject({
    kind: z.literal('set-gateway-status'),
    gatewayId: Id,
    status: z.enum(GATEWAY_STATUSES),
  }),
  z.strictObject({ kind: z.literal('register-attestation'), gatewayId: Id, document: Bytes }),
  ProposeSlash,
  z.strictObject({ kind: z.literal('vote-slash'), ...Proposal, andExecute: z.boolean().optional() }),
  z.strictObject({ kind: z.literal('execute-slash'), ...Proposal }),
  z.strictObject({ kind: z.literal('retract-slash-vote'), ...Proposal }),
  z.strictObject({ kind: z.literal('cancel-slash'), ...Proposal }),
  z.strictObject({ kind: z.literal('answer-slash'), ...Proposal, answer: Bytes }),
  z.strictObject({ kind: z.literal('expire-slash'), ...Proposal }),
]);
export type ClusterAct = z.output<typeof ClusterAct>;

const KINDS: ReadonlySet<string> = new Set(ClusterAct.options.map(({ shape }) => shape.kind.value));

/** Whether it is about the cluster, not about a stake of the wallet's own. */
export function isClusterAct(act: { readonly kind: string }): act is ClusterAct {
  return KINDS.has(act.kind);
}
