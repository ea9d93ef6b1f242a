import { coinBalance, type Definitions, decode, formatType, isSuiCoin } from './move/index.ts';
import type { StoredObject } from './objects.ts';

/** All live objects in their latest version, and what their earlier versions were. */
export class ObjectStore {
  readonly #live = new Map<string, StoredObject>();
  readonly #versions = new Map<string, Map<bigint, StoredObject>>();
  readonly #byOwner = new Map<string, Set<string>>();

  get(id: string): StoredObject | undefined {
    return this.#live.get(id);
  }

  at(id: string, version: bigint): StoredObject | undefined {
    return this.#versions.get(id)?.get(version);
  }

  all(): Iterable<StoredObject> {
    return this.#live.values();
  }

  put(object: StoredObject): void {
    this.delete(object.id);
    this.#live.set(object.id, object);
    const versions = this.#versions.get(object.id) ?? new Map<bigint, StoredObject>();
    this.#versions.set(object.id, versions.set(object.version, object));
    const owner = ownerKey(object);
    if (owner === undefined) return;
    const owned = this.#byOwner.get(owner) ?? new Set();
    this.#byOwner.set(owner, owned.add(object.id));
  }

  /** Replaces an object whose history is not kept: the Clock, which changes with every checkpoint. */
  putLatestOnly(object: StoredObject): void {
    this.#versions.delete(object.id);
    this.put(object);
  }

  delete(id: string): void {
    const old = this.#live.get(id);
    if (!old) return;
    this.#live.delete(id);
    const owner = ownerKey(old);
    if (owner !== undefined) this.#byOwner.get(owner)?.delete(id);
  }

  /** What an address owns, in the order in which a node lists it: by type, coins by falling balance, then by id. */
  ownedBy(address: string, definitions: Definitions): StoredObject[] {
    return this.#listOf(`address ${address}`)
      .map((object) => ({ object, rank: rankOf(object, definitions) }))
      .sort((left, right) => compare(left.rank, right.rank))
      .map(({ object }) => object);
  }

  /** The fields of an object, by id. */
  childrenOf(parent: string): StoredObject[] {
    return this.#listOf(`object ${parent}`).sort((left, right) => compare([left.id], [right.id]));
  }

  #listOf(owner: string): StoredObject[] {
    return [...(this.#byOwner.get(owner) ?? [])].flatMap((id) => this.#live.get(id) ?? []);
  }
}

function ownerKey({ owner }: StoredObject): string | undefined {
  if (owner.kind === 'address') return `address ${owner.address}`;
  return owner.kind === 'object' ? `object ${owner.parent}` : undefined;
}

function rankOf(object: StoredObject, definitions: Definitions): readonly string[] {
  if (object.kind === 'package') return ['', '', object.id];
  const inverted = isSuiCoin(object.type)
    ? 2n ** 64n - 1n - coinBalance(decode(object.contents, object.type, definitions))
    : 0n;
  return [formatType(object.type), inverted.toString().padStart(20, '0'), object.id];
}

function compare(left: readonly string[], right: readonly string[]): number {
  for (const [index, word] of left.entries()) {
    const other = right[index] ?? '';
    if (word !== other) return word < other ? -1 : 1;
  }
  return 0;
}
