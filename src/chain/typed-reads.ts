import type { Endpoint, Endpoints } from './endpoints/index.ts';
import type { ObjectProofs } from './object-proofs.ts';
import { type ReadObject, readObjects } from './object-reads.ts';

export interface TypedRead<T> {
  readonly what: string;
  readonly ids: readonly string[];
  /** Objects of any other type read as `undefined`. */
  readonly type: string;
  readonly decode: (object: ReadObject) => T | undefined;
  /** Whether something newer is known to be there. */
  readonly isStale?: (fact: T) => boolean;
}

/** Objects of one type by id. With proofs, what is doubtful is asked of the other endpoints too. */
export async function readTyped<T>(
  { endpoints, proofs }: { readonly endpoints: Endpoints; readonly proofs: ObjectProofs | undefined },
  read: TypedRead<T>,
  signal?: AbortSignal,
): Promise<Map<string, T | undefined>> {
  const { what, ids } = read;
  if (ids.length === 0) return new Map();
  const { source, objects, facts } = await endpoints.readFromOne(
    (endpoint, ended) =>
      endpoint.call(
        what,
        // Decoded inside the call: malformed bytes count as a failure of this node, and the next one is asked.
        async (client, abort) => {
          const objects = await readObjects(client, ids, abort);
          return { source: endpoint, objects, facts: factsOf(read, objects) };
        },
        ended,
      ),
    signal,
  );
  if (!proofs) return facts;
  const proven = factsOf(read, await proofs.proven(objects, source, signal));
  const doubtful = ids.filter((id) => isDoubtful(read, proven.get(id)));
  if (doubtful.length === 0) return proven;
  const others = await readElsewhere({ endpoints, proofs }, { ...read, ids: doubtful }, source);
  return new Map([...proven, ...others]);
}

function factsOf<T>({ ids, type, decode }: TypedRead<T>, objects: ReadonlyMap<string, ReadObject>) {
  return new Map(
    ids.map((id) => {
      const object = objects.get(id);
      return [id, object?.type === type ? decode(object) : undefined];
    }),
  );
}

function isDoubtful<T>({ isStale }: TypedRead<T>, fact: T | undefined): boolean {
  return fact === undefined || isStale?.(fact) === true;
}

/** What the other endpoints serve and prove of them, the newest; what stays doubtful counts as not read. */
async function readElsewhere<T>(
  { endpoints, proofs }: { readonly endpoints: Endpoints; readonly proofs: ObjectProofs },
  read: TypedRead<T>,
  source: Endpoint,
): Promise<Map<string, T | undefined>> {
  const shown = await endpoints.aside(source.url, async (endpoint) => {
    const objects = await endpoint.call(read.what, (client, ended) => readObjects(client, read.ids, ended));
    return proofs.proven(objects, endpoint);
  });
  const newest = new Map<string, ReadObject>();
  for (const object of shown.flatMap((objects) => [...objects.values()]))
    if (object.version >= (newest.get(object.id)?.version ?? 0n)) newest.set(object.id, object);
  const facts = factsOf(read, newest);
  return new Map([...facts].map(([id, fact]) => [id, isDoubtful(read, fact) ? undefined : fact]));
}
