import type { Clock } from '#base';
import type { StateNews, StateObjectNews, StateObjects, TextChange } from '#domain';
import { HEAD, type Head, readHead, wholeOf } from './state-head.ts';

/** What the gateways of a cluster share. */
export interface SharedObjects {
  readonly objects: StateObjects;
  readonly clock: Clock;
}

interface Following {
  /** As it was seen last; `undefined`: the whole state has to come first. */
  head: Head | undefined;
  version: string | undefined;
  /** What the listener threw. */
  failure: { readonly error: unknown } | undefined;
}

/** How long a watch may be behind before it is begun anew: a connection may be dead without an error. */
const checkEveryMs = 5_000;

/** Reports what is written, from the head alone: the buckets are read only when the following begins anew. */
export async function followHead(
  options: SharedObjects,
  listener: (news: StateNews) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const following: Following = { head: undefined, version: undefined, failure: undefined };
    const own = new AbortController();
    const either = AbortSignal.any([signal, own.signal]);
    const checks = endWhenBehind(options, following, own, either);
    const take = (given: StateObjectNews) => {
      if (either.aborted) return;
      try {
        const news = newsOf(following, given);
        if (news === 'missed') own.abort();
        else if (news) listener(news);
      } catch (error) {
        // The state is not what this gateway can go on with.
        following.failure = { error };
        own.abort();
      }
    };
    await options.objects.follow(HEAD, take, either);
    own.abort();
    await checks;
    if (following.failure) throw following.failure.error;
  }
}

function newsOf(following: Following, given: StateObjectNews): StateNews | 'missed' | undefined {
  if (given.kind === 'deleted') return 'missed';
  if (given.kind === 'listed') {
    const { kept, records } = wholeOf(given.objects);
    following.head = kept.head;
    following.version = kept.version;
    return { kind: 'listed', records: [...records] };
  }
  const { head: before } = following;
  const head = readHead(HEAD, given.object.text);
  if (!before || head.sequence > before.sequence + 1) return 'missed';
  following.version = given.object.version;
  if (head.sequence <= before.sequence) return undefined;
  following.head = head;
  const changes = changesBetween(before, head);
  return changes.length > 0 ? { kind: 'changed', changes } : undefined;
}

const changesBetween = (before: Head, after: Head): readonly TextChange[] =>
  [...after.changes]
    .filter(([key, text]) => before.changes.get(key) !== text)
    .map(([key, text]) => ({ key, text: text ?? undefined }));

async function endWhenBehind(
  { objects, clock }: SharedObjects,
  following: Following,
  own: AbortController,
  signal: AbortSignal,
): Promise<void> {
  let before: string | undefined;
  while (!signal.aborted) {
    await clock.sleep(checkEveryMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    const found = await objects.read(HEAD).catch(() => undefined);
    const isBehind = found !== undefined && following.version !== found.version;
    // Twice the same, and not seen: no watch is so slow.
    if (isBehind && before === found.version) return own.abort();
    before = isBehind ? found.version : undefined;
  }
}
