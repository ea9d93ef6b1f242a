import { z } from 'zod';
import { ParameterFields, ServerFields } from './cluster-act.ts';
import { ContractBuild } from './contract-build.ts';

/** What a deployment begins with, as a file for other wallets says it: there is no cluster yet, and before `publish` no package. */
export const FoundingAct = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('publish'),
    build: z.strictObject(ContractBuild.shape),
    /** The upgrade cap goes to the sender; otherwise it is destroyed. */
    isUpgradable: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal('create-cluster'),
    parameters: z.strictObject(ParameterFields),
    servers: z.strictObject(ServerFields).optional(),
  }),
]);
export type FoundingAct = z.output<typeof FoundingAct>;

const KINDS: ReadonlySet<string> = new Set(FoundingAct.options.map(({ shape }) => shape.kind.value));

export function isFoundingAct(act: { readonly kind: string }): act is FoundingAct {
  return KINDS.has(act.kind);
}
