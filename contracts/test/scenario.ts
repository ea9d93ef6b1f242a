// The shape of a shared scenario (contracts/scenarios/README.md) and where its values come from.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { z } from 'zod';
import { type Interface, isStruct } from './interface.ts';
import { CONTRACTS } from './move.ts';

const Nested = z.strictObject({ call: z.string(), arguments: z.array(z.unknown()) });
const Step = z.strictObject({
  by: z.string(),
  atMs: z.number().int().nonnegative().optional(),
  epoch: z.number().int().nonnegative().optional(),
  call: z.string(),
  arguments: z.array(z.unknown()),
  also: z.array(Nested).optional(),
  creates: z.record(z.string(), z.string()).optional(),
  abort: z.string().optional(),
  returns: z.unknown().optional(),
  events: z.array(z.strictObject({ type: z.string(), fields: z.record(z.string(), z.unknown()) })).optional(),
  objects: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  deleted: z.array(z.string()).optional(),
  paid: z.record(z.string(), z.string()).optional(),
});
const Scenario = z.strictObject({ title: z.string(), steps: z.array(Step).min(1) });

export type NestedCall = z.infer<typeof Nested>;
export type Step = z.infer<typeof Step>;
export type Scenario = z.infer<typeof Scenario>;

const SCENARIOS = join(CONTRACTS, 'scenarios');

export interface NamedScenario extends Scenario {
  /** The file's name without `.json`. */
  readonly name: string;
}

/** Reads every scenario, in the order of the file names. A file of another shape throws, naming it. */
export function readScenarios(directory = SCENARIOS): readonly NamedScenario[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({
      name: file.slice(0, -'.json'.length),
      ...readScenario(file, readFileSync(join(directory, file), 'utf8')),
    }));
}

/** Parses a scenario; throws, naming the file, when its text is not one. */
export function readScenario(file: string, text: string): Scenario {
  const parsed = Scenario.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`${file} is not a scenario: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** The key of an actor: SHA-256 of a public sentence, so of use in tests alone. */
export function actorKey(name: string): Ed25519Keypair {
  return Ed25519Keypair.fromSecretKey(
    createHash('sha256').update(`k3s-daas scenario actor ${name}`).digest(),
  );
}

/** An object that the first call of a step returns. */
export interface Made {
  /** As the scenario calls it; empty in a step that aborts, which need not say. */
  readonly name: string;
  readonly type: string;
  /** The call that ends the transaction: it takes the object by value. */
  readonly share: string;
}

/** What the first call of a step returns, if that is to be shared at the end of the transaction. */
export function madeBy({ call, creates = {} }: Step, abi: Interface): Made | undefined {
  const returned = abi.functions.get(call)?.returns[0];
  if (returned?.kind !== 'struct' || !returned.isOurs) return undefined;
  const share = `${returned.name.split('::')[0]}::share`;
  const shared = abi.functions.get(share)?.parameters[0];
  if (!shared || !isStruct(shared, returned.name)) return undefined;
  const [name = ''] = Object.entries(creates).find(([, type]) => type === returned.name) ?? [];
  return { name, type: returned.name, share };
}

/** `@alice` is an actor's address, `@0x0` that address. */
export function addressOf(value: string): string {
  const name = value.slice(1);
  return name.startsWith('0x') ? `0x${name.slice(2).padStart(64, '0')}` : actorKey(name).toSuiAddress();
}

export function nestedCall(value: unknown): NestedCall | undefined {
  const parsed = Nested.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

export function coinOf(value: unknown): bigint | undefined {
  const parsed = z.strictObject({ coin: z.string() }).safeParse(value);
  return parsed.success ? BigInt(parsed.data.coin) : undefined;
}
