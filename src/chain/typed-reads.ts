import type { Clock } from '#base';
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
  /** All endpoints are asked, and the newest proven version counts: one of them alone could hide a change. */
  readonly isAskedOfAll?: boolean;
  /** Called for each that has changed, as is known, and whose change no endpoint shows. */
  readonly onHidden?: ((id: string) => void) | undefined;
}

/** What reads share. */
interface Sources {
  readonly endpoints: Endpoints;
  readonly proofs: ObjectProofs | undefined;
  readonly clock: Clock;
}

/** How long the others are waited for, so that one that hangs does not hold every read up. */
const OTHERS_WAIT_MS = 2_000;

/** Objects of one type by id. With proofs, what is doubtful is asked of the other endpoints too. */
export async function readTyped<T>(
  { endpoints, proofs, clock }: Sources,
  read: TypedRead<T>,
  signal?: AbortSignal,
): Promise<Map<string, T | undefined>> {
  const { what, ids, isAskedOfAll, onHidden } = read;
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
  const proving = proofs.proven(objects, source, signal);
  const elsewhere = (some: readonly string[]) =>
    readElsewhere({ endpoints, proofs, clock }, { what, ids: some, source, after: proving }, signal);
  const [own, others] = await Promise.all([proving, isAskedOfAll ? elsewhere(ids) : []]);
  const newest = newestOf([own, ...others]);
  const doubtful = ids.filter((id) => isDoubtful(read, factsOf(read, newest).get(id)));
  if (doubtful.length === 0) return factsOf(read, newest);
  const all = isAskedOfAll ? newest : newestOf([newest, ...(await elsewhere(doubtful))]);
  return new Map(
    [...factsOf(read, all)].map(([id, fact]) => {
      if (fact !== undefined && read.isStale?.(fact)) onHidden?.(id);
      return [id, isDoubtful(read, fact) ? undefined : fact];
    }),
  );
}

function newestOf(shown: ReadonlyArray<ReadonlyMap<string, ReadObject>>): Map<string, ReadObject> {
  const newest = new Map<string, ReadObject>();
  for (const [id, object] of shown.flatMap((objects) => [...objects]))
    if (object.version >= (newest.get(id)?.version ?? 0n)) newest.set(id, object);
  return newest;
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

interface ReadElsewhere {
  readonly what: string;
  readonly ids: readonly string[];
  /** It has been asked. */
  readonly source: Endpoint;
  /** The proofs of what it served. */
  readonly after: Promise<unknown>;
}

/** What each of the other endpoints serves and proves of them, in time. */
async function readElsewhere(
  { endpoints, proofs, clock }: Sources & { readonly proofs: ObjectProofs },
  { what, ids, source, after }: ReadElsewhere,
  signal?: AbortSignal,
): Promise<ReadonlyArray<ReadonlyMap<string, ReadObject>>> {
  if (endpoints.all.length < 2) return [];
  const shown: Array<ReadonlyMap<string, ReadObject>> = [];
  const asking = endpoints.aside(source.url, async (endpoint) => {
    const objects = await endpoint.call(what, (client, ended) => readObjects(client, ids, ended), signal);
    // What several serve alike is proven once.
    await after.catch(() => undefined);
    shown.push(await proofs.proven(objects, endpoint, signal));
  });
  const waited = new AbortController();
  const ended = AbortSignal.any(signal ? [signal, waited.signal] : [waited.signal]);
  await Promise.race([asking, clock.sleep(OTHERS_WAIT_MS, ended).catch(() => undefined)]);
  waited.abort();
  signal?.throwIfAborted();
  return shown;
}
