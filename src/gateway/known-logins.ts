import { z } from 'zod';
import { errorFields, forgetOldest, type Log } from '#base';
import type { Store } from '#state';
import { readStored } from './stored-record.ts';

/**
 * The Seal tokens by which somebody was let in, with the key that each names: a token never names another one. Their chain
 * look-ups are their own, so that strangers cannot use up what they need, also after a restart of the gateway.
 */
export interface KnownLogins {
  /** Whether this token let its holder in, and this is its key. */
  has(tokenId: string, holderKey: Uint8Array): boolean;
  add(tokenId: string, holderKey: Uint8Array): void;
  /** The token lets nobody in any more, for good. */
  remove(tokenId: string): void;
}

export interface KnownLoginsOptions {
  readonly store: Pick<Store, 'list' | 'write'>;
  readonly log: Log;
  readonly most?: number;
}

interface KnownContext extends KnownLoginsOptions {
  /** Hex of the key by token, the one longest unused first. */
  readonly keys: Map<string, string>;
  readonly most: number;
}

const prefix = '/logins/';
const StoredLogin = z.strictObject({ key: z.string().regex(/^[0-9a-f]{64}$/) });

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`. */
export async function openKnownLogins(options: KnownLoginsOptions): Promise<KnownLogins> {
  const context: KnownContext = { most: 10_000, ...options, keys: new Map() };
  const { keys } = context;
  for (const [key, value] of await options.store.list(prefix))
    keys.set(key.slice(prefix.length), readStored(StoredLogin, { key, value }).key);
  return {
    has: (tokenId, holderKey) => keys.get(tokenId) === hexOf(holderKey),
    add: (tokenId, holderKey) => add(context, tokenId, hexOf(holderKey)),
    remove(tokenId) {
      if (keys.delete(tokenId)) write(context, [tokenId]);
    },
  };
}

function add(context: KnownContext, tokenId: string, key: string): void {
  const { keys, most } = context;
  const isNew = keys.get(tokenId) !== key;
  keys.delete(tokenId);
  keys.set(tokenId, key);
  if (!isNew) return;
  const before = [...keys.keys()];
  forgetOldest(keys, most);
  const forgotten = before.slice(0, before.length - keys.size);
  write(context, [tokenId, ...forgotten]);
}

/** A full disk costs what is remembered over a restart, and nobody their login. */
function write({ store, keys, log }: KnownContext, tokenIds: readonly string[]): void {
  const changes = tokenIds.map((tokenId) => {
    const key = keys.get(tokenId);
    return { key: `${prefix}${tokenId}`, value: key === undefined ? undefined : { key } };
  });
  store.write(changes).catch((error: unknown) => {
    log.warn('A login could not be written down', errorFields(error));
  });
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
