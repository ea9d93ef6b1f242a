// oxlint-disable eslint/max-lines -- one player: a part for each form of a step
// Plays a shared scenario on a chain through the Sui SDK, and says what each step did in the words of the scenario file.
import { bcs } from '@mysten/sui/bcs';
import { SimulationError } from '@mysten/sui/client';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Transaction, type TransactionArgument } from '@mysten/sui/transactions';
import { type Interface, isStruct, type MoveType, readInterface, referent } from './interface.ts';
import {
  actorKey,
  addressOf,
  coinOf,
  type Made,
  madeBy,
  nestedCall,
  type Scenario,
  type Step,
} from './scenario.ts';

/** The chain under test, with its time in hand. */
export interface Stage {
  readonly client: SuiGrpcClient;
  readonly packageId: string;
  /** Sets the chain's clock and epoch; never backwards. */
  setTime(time: { atMs: number; epoch: number }): Promise<void>;
  /** Gives an address one coin of so many MIST. */
  fund(address: string, mist: bigint): Promise<void>;
}

/** What a step did: the part of a step that a scenario expects. */
export type Outcome = Pick<Step, 'abort' | 'returns' | 'events' | 'objects' | 'deleted' | 'paid'>;

const GAS_MIST = 100_000_000_000n;
/** A simulation pays with a coin of 10^18 MIST that nobody has: what is about as large is not split from the gas. */
const LARGEST_SPLIT_MIST = 100_000_000_000_000_000n;

export class Player {
  readonly #stage: Stage;
  readonly #abi: Interface;
  readonly #idOf = new Map<string, string>();
  readonly #nameOf = new Map<string, string>();
  readonly #typeOf = new Map<string, string>();
  readonly #actorOf = new Map<string, string>();
  readonly #hashOf = new Map<string, string>();
  readonly #funded = new Set<string>();
  /** Coins that are handed in whole, by amount; of the step that is played. */
  #largeCoins = new Map<bigint, string>();
  /** What the step's first call has returned and nobody has yet, by its name. */
  readonly #unshared = new Map<string, TransactionArgument>();
  #atMs = 0;
  #epoch = 0;

  constructor(stage: Stage, scenario: Scenario, abi = readInterface()) {
    this.#stage = stage;
    this.#abi = abi;
    for (const [actor] of JSON.stringify(scenario).matchAll(/(?<=")@\w+(?=")/g))
      this.#actorOf.set(addressOf(actor), actor);
    for (const { by } of scenario.steps) this.#actorOf.set(addressOf(`@${by}`), `@${by}`);
  }

  /** Plays one step. What it returns is complete: what is not in it did not happen. */
  async play(step: Step): Promise<Outcome> {
    this.#atMs = step.atMs ?? this.#atMs;
    this.#epoch = step.epoch ?? this.#epoch;
    await this.#stage.setTime({ atMs: this.#atMs, epoch: this.#epoch });
    const key = actorKey(step.by);
    const sender = key.toSuiAddress();
    await this.#fund(sender, step);
    const transaction = new Transaction();
    transaction.setSender(sender);
    const { result, index } = this.#call(transaction, step);
    const returned = this.#function(step.call).returns[0];
    if (returned && isStruct(returned, 'coin::Coin')) transaction.transferObjects([result], sender);
    const made = madeBy(step, this.#abi);
    this.#finish(transaction, step, made, result);
    const { client } = this.#stage;
    let returns: unknown;
    try {
      if (returned && !made && !isStruct(returned, 'coin::Coin') && !isStruct(returned, 'object::ID'))
        returns = await this.#simulate(step, index, returned);
      const executed = await client.signAndExecuteTransaction({
        transaction,
        signer: key,
        include: { effects: true, events: true, objectTypes: true },
      });
      if (executed.$kind === 'FailedTransaction') {
        const { error } = executed.FailedTransaction.status;
        return { abort: abortOf(error) };
      }
      const done = executed.Transaction;
      await client.waitForTransaction({ digest: done.digest });
      return await this.#outcome(step, done, returns);
    } catch (error) {
      if (error instanceof SimulationError) return { abort: abortOf(error.executionError) };
      throw error;
    }
  }

  /** The calls that follow in the same transaction, and the sharing of what the first has made. */
  #finish(transaction: Transaction, step: Step, made: Made | undefined, result: TransactionArgument): void {
    if (made) this.#unshared.set(made.name, result);
    for (const call of step.also ?? []) this.#call(transaction, call);
    this.#unshared.clear();
    if (made)
      transaction.moveCall({ target: `${this.#stage.packageId}::${made.share}`, arguments: [result] });
  }

  async #simulate(step: Step, index: number, type: MoveType): Promise<unknown> {
    const transaction = new Transaction();
    transaction.setSender(addressOf(`@${step.by}`));
    this.#call(transaction, step);
    const simulated = await this.#stage.client.simulateTransaction({
      transaction,
      include: { commandResults: true },
    });
    if (simulated.$kind === 'FailedTransaction') return undefined;
    const bytes = simulated.commandResults?.[index]?.returnValues[0]?.bcs;
    if (!bytes) throw new Error(`${step.call} returned nothing in the simulation`);
    return this.#decode(type, new Bytes(bytes));
  }

  async #fund(sender: string, step: Step): Promise<void> {
    const all = [...step.arguments, ...(step.also ?? []).flatMap(({ arguments: given }) => given)];
    const amounts = all.flatMap((value) => coinOf(value) ?? []);
    this.#largeCoins = new Map();
    for (const mist of amounts.filter((amount) => amount > LARGEST_SPLIT_MIST))
      this.#largeCoins.set(mist, await this.#coin(sender, mist));
    const needed = amounts.filter((mist) => !this.#largeCoins.has(mist)).reduce((a, b) => a + b, 0n);
    if (this.#funded.has(sender) && needed < GAS_MIST / 10n) return;
    this.#funded.add(sender);
    await this.#stage.fund(sender, needed + GAS_MIST);
  }

  /** Gives an address a coin of its own; its id. */
  async #coin(owner: string, mist: bigint): Promise<string> {
    await this.#stage.fund(owner, mist);
    const { objects } = await this.#stage.client.listCoins({ owner });
    const coin = objects.find(({ balance }) => BigInt(balance) === mist);
    if (!coin) throw new Error(`${owner} got no coin of ${mist} MIST`);
    return coin.objectId;
  }

  #call(
    transaction: Transaction,
    call: { call: string; arguments: readonly unknown[] },
  ): { result: ReturnType<Transaction['moveCall']>; index: number } {
    const given = [...call.arguments];
    const args = this.#function(call.call).parameters.flatMap((parameter): TransactionArgument[] => {
      const type = referent(parameter);
      if (isStruct(type, 'tx_context::TxContext')) return [];
      if (isStruct(type, 'clock::Clock')) return [transaction.object.clock()];
      const value = given.shift();
      const coin = coinOf(value);
      const largeCoin = coin === undefined ? undefined : this.#largeCoins.get(coin);
      if (largeCoin !== undefined) return [transaction.object(largeCoin)];
      if (coin !== undefined)
        return [transaction.splitCoins(transaction.gas, [coin])[0] as TransactionArgument];
      const nested = nestedCall(value);
      if (nested) return [this.#call(transaction, nested).result];
      if (type.kind === 'struct' && type.isOurs)
        return [this.#unshared.get(String(value).slice(1)) ?? transaction.object(this.#id(String(value)))];
      return [transaction.pure(this.#encode(type, value))];
    });
    const result = transaction.moveCall({
      target: `${this.#stage.packageId}::${call.call}`,
      arguments: args,
    });
    return { result, index: transaction.getData().commands.length - 1 };
  }

  async #outcome(
    step: Step,
    done: {
      events?: ReadonlyArray<{ eventType: string; bcs: Uint8Array }> | undefined;
      objectTypes?: Record<string, string> | undefined;
      effects?: { changedObjects: readonly ChangedObject[] } | undefined;
    },
    returns: unknown,
  ): Promise<Outcome> {
    const changed = done.effects?.changedObjects ?? [];
    const typeOf = (id: string) => shortType(done.objectTypes?.[id] ?? '');
    this.#nameNew(step, changed, typeOf, done.events ?? []);
    const written = changed.filter(
      ({ objectId, outputState }) => this.#nameOf.has(objectId) && outputState !== 'DoesNotExist',
    );
    const deleted = changed.filter(
      ({ objectId, idOperation }) => this.#nameOf.has(objectId) && idOperation === 'Deleted',
    );
    const paid: Record<string, string> = {};
    for (const { objectId, idOperation, outputOwner } of changed) {
      if (idOperation !== 'Created' || typeOf(objectId) !== 'coin::Coin' || !outputOwner?.AddressOwner)
        continue;
      const coin = await this.#content(objectId);
      paid[this.#address(outputOwner.AddressOwner)] = bcs.u64().parse(coin.subarray(32));
    }
    const objects: Record<string, Record<string, unknown>> = {};
    const contents = new Map<string, Uint8Array>();
    for (const { objectId } of written) {
      const content = await this.#content(objectId);
      contents.set(objectId, content);
      this.#rememberHash(objectId, content);
    }
    for (const [objectId, content] of contents) {
      const name = this.#nameOf.get(objectId) ?? '';
      objects[name] = this.#struct(this.#typeOf.get(name) ?? '', new Bytes(content));
    }
    const events = (done.events ?? []).map(({ eventType, bcs: bytes }) => ({
      type: shortType(eventType),
      fields: this.#struct(shortType(eventType), new Bytes(bytes)),
    }));
    return {
      ...(returns === undefined ? {} : { returns }),
      ...(events.length > 0 ? { events } : {}),
      ...(Object.keys(objects).length > 0 ? { objects: sorted(objects) } : {}),
      ...(deleted.length > 0
        ? { deleted: deleted.map(({ objectId }) => this.#nameOf.get(objectId) ?? '').sort() }
        : {}),
      ...(Object.keys(paid).length > 0 ? { paid: sorted(paid) } : {}),
    };
  }

  /** Gives the names of `creates` to what the step made; a gateway is no object, only its event tells its id. */
  #nameNew(
    step: Step,
    changed: readonly ChangedObject[],
    typeOf: (id: string) => string,
    events: ReadonlyArray<{ eventType: string; bcs: Uint8Array }>,
  ): void {
    for (const [name, type] of Object.entries(step.creates ?? {})) {
      const registered = events.find(
        ({ eventType }) => shortType(eventType) === 'cluster::GatewayRegistered',
      );
      const id =
        type === 'cluster::Gateway'
          ? registered && bcs.Address.parse(registered.bcs.subarray(32, 64))
          : changed.find(
              ({ objectId, idOperation }) =>
                idOperation === 'Created' && typeOf(objectId) === type && !this.#nameOf.has(objectId),
            )?.objectId;
      if (!id) throw new Error(`${step.call} made no ${type} to be called ${name}`);
      this.#idOf.set(name, id);
      this.#nameOf.set(id, name);
      this.#typeOf.set(name, type);
    }
  }

  #rememberHash(objectId: string, content: Uint8Array): void {
    const name = this.#nameOf.get(objectId) ?? '';
    if (this.#typeOf.get(name) !== 'k8s_gateway::SealToken') return;
    const bytes = new Bytes(content);
    bytes.take(32);
    this.#hashOf.set(bytes.string(), `$${name}.token_hash`);
  }

  async #content(objectId: string): Promise<Uint8Array> {
    const { object } = await this.#stage.client.getObject({ objectId, include: { content: true } });
    if (!object.content) throw new Error(`the chain gives no content of ${objectId}`);
    return object.content;
  }

  #struct(name: string, bytes: Bytes): Record<string, unknown> {
    const layout = this.#abi.structs.get(name);
    if (!layout) throw new Error(`there is no struct ${name}`);
    return Object.fromEntries(layout.map((field) => [field.name, this.#decode(field.type, bytes)]));
  }

  #decode(type: MoveType, bytes: Bytes): unknown {
    switch (type.kind) {
      case 'u8':
        return bytes.take(1)[0];
      case 'bool':
        return bytes.take(1)[0] === 1;
      case 'u64':
        return bcs.u64().parse(bytes.take(8));
      case 'address':
        return this.#address(bcs.Address.parse(bytes.take(32)));
      case 'vector': {
        const length = bytes.uleb();
        if (type.of.kind === 'u8') return `0x${Buffer.from(bytes.take(length)).toString('hex')}`;
        return Array.from({ length }, () => this.#decode(type.of, bytes));
      }
      case 'reference':
        return this.#decode(type.to, bytes);
      case 'struct':
        return this.#decodeStruct(type, bytes);
    }
  }

  #decodeStruct(type: MoveType & { kind: 'struct' }, bytes: Bytes): unknown {
    switch (type.name) {
      case 'string::String': {
        const text = bytes.string();
        return this.#hashOf.get(text) ?? text;
      }
      case 'object::ID':
      case 'object::UID': {
        const id = bcs.Address.parse(bytes.take(32));
        const name = this.#nameOf.get(id);
        if (!name) throw new Error(`${id} has no name in this scenario: say what the step creates`);
        return `$${name}`;
      }
      case 'option::Option': {
        const inner = type.typeArguments[0];
        return bytes.uleb() === 0 || !inner ? null : this.#decode(inner, bytes);
      }
      case 'balance::Balance':
        return bcs.u64().parse(bytes.take(8));
      case 'table::Table':
        bytes.take(32);
        return { size: bcs.u64().parse(bytes.take(8)) };
      default:
        return this.#struct(type.name, bytes);
    }
  }

  #encode(type: MoveType, value: unknown): Uint8Array {
    switch (type.kind) {
      case 'u8':
        return bcs.u8().serialize(Number(value)).toBytes();
      case 'u64':
        return bcs.u64().serialize(String(value)).toBytes();
      case 'bool':
        return bcs.bool().serialize(Boolean(value)).toBytes();
      case 'address':
        return bcs.Address.serialize(addressOf(String(value))).toBytes();
      case 'vector': {
        if (type.of.kind === 'u8')
          return bcs
            .vector(bcs.u8())
            .serialize(Buffer.from(String(value).slice(2), 'hex'))
            .toBytes();
        const items = (value as unknown[]).map((item) => this.#encode(type.of, item));
        const length = bcs.vector(bcs.u8()).serialize(new Uint8Array(items.length)).toBytes();
        return Buffer.concat([length.subarray(0, length.length - items.length), ...items]);
      }
      case 'struct':
        if (type.name === 'string::String') return bcs.string().serialize(String(value)).toBytes();
        if (type.name === 'object::ID')
          return bcs.Address.serialize(
            String(value).startsWith('$') ? this.#id(String(value)) : addressOf(String(value)),
          ).toBytes();
        throw new Error(`a ${type.name} cannot be written down as an argument`);
      default:
        throw new Error(`a ${type.kind} cannot be written down as an argument`);
    }
  }

  #id(reference: string): string {
    const id = this.#idOf.get(reference.slice(1));
    if (!id) throw new Error(`nothing has the name ${reference} yet`);
    return id;
  }

  #address(address: string): string {
    return this.#actorOf.get(address) ?? `@${address.replace(/^0x0*(?=.)/, '0x')}`;
  }

  #function(name: string) {
    const found = this.#abi.functions.get(name);
    if (!found) throw new Error(`there is no public function ${name}`);
    return found;
  }
}

interface ChangedObject {
  readonly objectId: string;
  readonly idOperation: string;
  readonly outputState: string;
  readonly outputOwner?: { readonly AddressOwner?: string } | null;
}

/** A cursor over BCS bytes. */
class Bytes {
  readonly #bytes: Uint8Array;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  take(length: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    if (taken.length < length) throw new Error('the bytes end too early for their type');
    this.#at += length;
    return taken;
  }
  uleb(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.take(1)[0] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  string(): string {
    return Buffer.from(this.take(this.uleb())).toString();
  }
}

/** `0xpackage::module::Name<…>` → `module::Name`. */
function shortType(type: string): string {
  return type.split('<')[0]?.split('::').slice(1).join('::') ?? '';
}

function abortOf(error: unknown): string {
  const { MoveAbort: abort, message } = (error ?? {}) as {
    MoveAbort?: { location?: { module?: string }; cleverError?: { constantName?: string } };
    message?: string;
  };
  const name = abort?.cleverError?.constantName;
  if (!abort?.location?.module || !name)
    throw new Error(`not a named abort: ${message ?? JSON.stringify(error)}`);
  return `${abort.location.module}::${name}`;
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
