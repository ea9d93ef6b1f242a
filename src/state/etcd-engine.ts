import { randomUUID } from 'node:crypto';
import { type Clock, DaasError, messageOf } from '#base';
import type { StateEngine, StateNews, StateRecord, TextChange } from '#domain';
import { notLeading } from './election.ts';
import { base64, type EtcdClient, type EtcdKey, fromBase64, numberIn, rangedKeysIn } from './etcd-client.ts';
import type { EtcdLeadership } from './etcd-leadership.ts';

export interface EtcdEngineOptions {
  readonly client: EtcdClient;
  /** Before every key; the cluster's own. */
  readonly prefix: string;
  readonly leadership: EtcdLeadership;
  readonly clock: Clock;
}

interface Etcd extends EtcdEngineOptions {
  readonly records: string;
  /**
   * Written with every write. A write names the revision of the one before, so that one whose answer was lost, and that
   * arrives late, cannot overwrite a later one.
   */
  readonly turnKey: string;
  /** The revision of the last write; `undefined`: it has to be read. */
  turn: number | undefined;
}

/** etcd takes 128 operations in a transaction (`--max-txn-ops`); two are ours. */
const mostChanges = 100;
const pageSize = 1_000;
const attempts = 3;
/** How long a watch may be behind before it is begun anew: a connection may be dead without an error. */
const checkEveryMs = 5_000;
const pauseMs = 1_000;

/** The state in an etcd that the gateways of a cluster share. Only the gateway that leads writes. */
export function openEtcdEngine(options: EtcdEngineOptions): StateEngine {
  const { prefix, client, leadership } = options;
  const etcd: Etcd = {
    ...options,
    records: `${prefix}/records`,
    turnKey: `${prefix}/turn`,
    turn: undefined,
  };
  return {
    kind: 'etcd',
    isLocal: false,
    mostChanges,
    async read(key) {
      const { kvs } = (await client.call('/v3/kv/range', { key: base64(etcd.records + key) })) as Found;
      return kvs?.[0] && fromBase64(kvs[0].value);
    },
    list: (keyPrefix) => list(etcd, keyPrefix),
    write: (changes) => write(etcd, changes),
    follow: (listener, signal) => follow(etcd, listener, signal),
    async [Symbol.asyncDispose]() {
      await leadership[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    },
  };
}

/** A write that follows names the turn as it was before this list: one that arrives late meanwhile makes it fail. */
async function list(etcd: Etcd, prefix: string): Promise<readonly StateRecord[]> {
  const isAsked = etcd.turn === undefined && etcd.leadership.term() !== undefined;
  const turn = isAsked ? (await readTurn(etcd)).revision : undefined;
  const { records } = await listAll(etcd, prefix);
  etcd.turn ??= turn;
  return records;
}

interface Found {
  readonly header?: { readonly revision?: string };
  readonly kvs?: readonly EtcdKey[];
}

/** The end of the range of all keys that begin so: keys are ASCII. */
const endOf = (prefix: string) => `${prefix}\u007f`;

/** In pages, all of one revision. */
async function listAll(
  { client, records: place }: Etcd,
  prefix: string,
): Promise<{ readonly records: StateRecord[]; readonly revision: number }> {
  const records: StateRecord[] = [];
  let from = place + prefix;
  let revision: number | undefined;
  for (;;) {
    const page = (await client.call('/v3/kv/range', {
      key: base64(from),
      range_end: base64(endOf(place + prefix)),
      limit: String(pageSize),
      ...(revision !== undefined && { revision: String(revision) }),
    })) as Found;
    revision ??= numberIn(page.header?.revision);
    const found = page.kvs ?? [];
    for (const { key, value } of found)
      records.push([fromBase64(key).slice(place.length), fromBase64(value)]);
    if (found.length < pageSize) return { records, revision };
    from = `${fromBase64(found.at(-1)?.key)}\0`;
  }
}

async function write(etcd: Etcd, changes: readonly TextChange[]): Promise<void> {
  if (changes.length === 0) return;
  const term = etcd.leadership.term();
  if (term === undefined) throw notLeading(etcd.leadership.leader());
  const id = randomUUID();
  const wasKnown = etcd.turn !== undefined;
  try {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      etcd.turn ??= (await readTurn(etcd)).revision;
      const outcome = await writeOnce(etcd, { changes, term, id });
      if (outcome === 'written') return;
      if (outcome === 'not-leading') break;
      // What the changes were made from is not what there is.
      if (wasKnown) throw new Error('an earlier write has arrived late');
    }
  } catch (cause) {
    // It may have been written: the next write looks first.
    etcd.turn = undefined;
    throw new DaasError('DAAS_GATEWAY_STORE_FAILED', `etcd cannot be written: ${messageOf(cause)}`, {
      cause,
    });
  }
  etcd.turn = undefined;
  etcd.leadership.noteLoss();
  throw notLeading(etcd.leadership.leader());
}

interface Writing {
  readonly changes: readonly TextChange[];
  readonly term: number;
  readonly id: string;
}

async function writeOnce(
  etcd: Etcd,
  { changes, term, id }: Writing,
): Promise<'written' | 'not-leading' | 'again'> {
  const { client, turnKey, leadership, records } = etcd;
  const leaderKey = base64(leadership.key);
  const reply = await client.call('/v3/kv/txn', {
    compare: [
      { target: 'CREATE', result: 'EQUAL', key: leaderKey, create_revision: String(term) },
      { target: 'MOD', result: 'EQUAL', key: base64(turnKey), mod_revision: String(etcd.turn ?? 0) },
    ],
    success: [
      { request_put: { key: base64(turnKey), value: base64(id) } },
      ...changes.map(({ key, text }) =>
        text === undefined
          ? { request_delete_range: { key: base64(records + key) } }
          : { request_put: { key: base64(records + key), value: base64(text) } },
      ),
    ],
    failure: [{ request_range: { key: leaderKey } }, { request_range: { key: base64(turnKey) } }],
  });
  const revision = numberIn((reply.header as Found['header'])?.revision);
  if (reply.succeeded === true) {
    etcd.turn = revision;
    return 'written';
  }
  const [leader, turn] = rangedKeysIn(reply);
  if (numberIn(leader?.create_revision) !== term) return 'not-leading';
  etcd.turn = numberIn(turn?.mod_revision);
  // The answer to an earlier attempt was lost.
  return turn && fromBase64(turn.value) === id ? 'written' : 'again';
}

async function readTurn({ client, turnKey }: Etcd): Promise<{ readonly revision: number }> {
  const { kvs } = (await client.call('/v3/kv/range', { key: base64(turnKey) })) as Found;
  return { revision: numberIn(kvs?.[0]?.mod_revision) };
}

async function follow(etcd: Etcd, listener: (news: StateNews) => void, signal: AbortSignal): Promise<void> {
  const { clock } = etcd;
  while (!signal.aborted) {
    let listed: Awaited<ReturnType<typeof listAll>>;
    try {
      listed = await listAll(etcd, '/');
    } catch {
      await clock.sleep(pauseMs, signal).catch(() => undefined);
      continue;
    }
    if (signal.aborted) return;
    // What the listener throws ends the following: the state is not what this gateway can go on with.
    listener({ kind: 'listed', records: listed.records });
    await watchFrom(etcd, listed.revision + 1, listener, signal);
  }
}

interface Watched {
  readonly events?: ReadonlyArray<{
    readonly type?: string;
    readonly kv: EtcdKey;
  }>;
  readonly canceled?: boolean;
}

/** Resolves when the watch has ended, or is behind. */
async function watchFrom(
  etcd: Etcd,
  revision: number,
  listener: (news: StateNews) => void,
  signal: AbortSignal,
): Promise<void> {
  const { client, prefix, records, turnKey } = etcd;
  const own = new AbortController();
  const either = AbortSignal.any([signal, own.signal]);
  const seen = { revision: revision - 1 };
  const checks = endWhenBehind(etcd, seen, own, either);
  try {
    const request = { key: base64(`${prefix}/`), range_end: base64(endOf(`${prefix}/`)) };
    const body = { create_request: { ...request, start_revision: String(revision) } };
    for await (const reply of client.stream('/v3/watch', body, either)) {
      const { events = [], canceled } = reply as Watched;
      if (canceled) return;
      for (const { kv } of events) seen.revision = Math.max(seen.revision, numberIn(kv.mod_revision));
      const changes = events
        .map(({ type, kv }) => ({ type, key: fromBase64(kv.key), value: kv.value }))
        .filter(({ key }) => key !== turnKey && key.startsWith(`${records}/`))
        .map(({ type, key, value }) => ({
          key: key.slice(records.length),
          text: type === 'DELETE' ? undefined : fromBase64(value),
        }));
      if (changes.length > 0) listener({ kind: 'changed', changes });
    }
  } catch (error) {
    if (error instanceof DaasError && error.code !== 'DAAS_STATE_UNREACHABLE') throw error;
  } finally {
    own.abort();
    await checks;
  }
}

/** Each write writes the turn too: a watch that has not seen its revision for a while is dead. */
async function endWhenBehind(
  etcd: Etcd,
  seen: { readonly revision: number },
  own: AbortController,
  signal: AbortSignal,
): Promise<void> {
  let before: number | undefined;
  while (!signal.aborted) {
    await etcd.clock.sleep(checkEveryMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    if (before !== undefined && seen.revision < before) return own.abort();
    before = await readTurn(etcd).then(
      ({ revision }) => revision,
      () => undefined,
    );
  }
}
