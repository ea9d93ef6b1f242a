import { createHash } from 'node:crypto';
import { type Clock, DaasError } from '#base';
import type { GatewayTier } from '#domain';
import {
  type ChainFacts,
  examineHolder,
  examineLogin,
  examinePerson,
  isSignedBy,
  type LoginReason,
  type ParsedLogin,
  parseLogin,
  permissionsNow,
  tierOf,
} from '#seal';
import type { FactCache } from './fact-cache.ts';
import type { KnownLogins } from './known-logins.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RefusalTally } from './refusal-tally.ts';

/** Somebody whose login counts, with what they may do now. */
export interface Person {
  readonly wallet: string;
  readonly recordId: string;
  readonly tier: GatewayTier;
  /** `resource:verb` */
  readonly permissions: readonly string[];
  /** Names the proof in audit lines, here and at the API server: the beginning of its hash. */
  readonly proofId: string;
}

/** Why a login is refused; only the audit file has it. */
type LoginRefusal = LoginReason | 'banned' | 'chain_unavailable' | 'rate_limited' | 'overloaded';

/** Judges the login proofs that the API server passes on. */
export interface Logins {
  /** The person behind a bearer token; `undefined`: it does not count. Never rejects. */
  personOf(token: string): Promise<Person | undefined>;
}

export interface LoginsOptions {
  readonly clusterId: string;
  readonly facts: Pick<FactCache, 'knows' | 'holderKeyOf' | 'readPerson' | 'rememberedPerson'>;
  readonly isBanned: (wallet: string) => boolean;
  readonly refusals: Pick<RefusalTally, 'count'>;
  /** Counts the logins that count, apart from refusals: neither takes the other's place in the audit file. */
  readonly acceptances: Pick<RefusalTally, 'count'>;
  /** Tokens that counted once: their look-ups are their own. */
  readonly known: KnownLogins;
  readonly clock: Clock;
  /** How old the facts of somebody who was let in before may be while the chain is away. */
  readonly factsGraceMs: () => number;
  /** Chain look-ups that tokens which this gateway does not know may cause, all together. */
  readonly lookUps: RateLimit;
  /** Those that the holder of a token which it knows may cause, by token. */
  readonly ownLookUps: RateLimit;
}

interface LoginContext extends LoginsOptions {
  inWork: number;
}

/** More at once are refused: the API server asks again when its caller does. */
const mostInWork = 512;
/** The API server waits for 30 s, and its caller with it. */
const patienceMs = 8_000;

export function createLogins(options: LoginsOptions): Logins {
  const context: LoginContext = { ...options, inWork: 0 };
  return {
    async personOf(token) {
      if (context.inWork >= mostInWork) return refuse(context, 'overloaded');
      context.inWork += 1;
      try {
        return await judge(context, token);
      } finally {
        context.inWork -= 1;
      }
    },
  };
}

async function judge(context: LoginContext, token: string): Promise<Person | undefined> {
  const { clock, clusterId } = context;
  const outcome = parseLogin(token);
  if (!outcome.ok) return refuse(context, outcome.reason);
  const { login } = outcome;
  const reason = examineLogin(login, { nowMs: clock.nowMs(), clusterId });
  if (reason) return refuse(context, reason, login);
  if (!(await isSignedBy(login, login.presentedKey))) return refuse(context, 'signature_invalid', login);
  const facts = await factsOf(context, login);
  if (typeof facts === 'string') return refuse(context, facts, login);
  const impostor = examineHolder(facts, login.presentedKey);
  if (impostor) return refuse(context, impostor, login);
  const unfit = examinePerson(login.wallet, facts);
  if (unfit) {
    if (isForGood(unfit)) context.known.remove(login.tokenId);
    return refuse(context, unfit, login, { isProven: facts.token?.owner === login.wallet });
  }
  if (context.isBanned(login.wallet)) return refuse(context, 'banned', login, { isProven: true });
  return accept(context, login, facts);
}

/** The facts, or why there are none. */
async function factsOf(
  context: LoginContext,
  login: ParsedLogin,
): Promise<ChainFacts | 'chain_unavailable' | 'holder_key_mismatch' | 'rate_limited'> {
  const { facts, clock, factsGraceMs } = context;
  const { tokenId, wallet } = login;
  const refusal = refusedBeforeReading(context, login);
  if (refusal) return refusal;
  try {
    return await inTime(clock, facts.readPerson(tokenId, wallet));
  } catch {
    const remembered = facts.rememberedPerson(tokenId);
    return remembered && isKnown(context, login) && remembered.ageMs <= factsGraceMs()
      ? remembered.facts
      : 'chain_unavailable';
  }
}

const isKnown = ({ known }: LoginContext, { tokenId, presentedKey }: ParsedLogin) =>
  known.has(tokenId, presentedKey);

/**
 * Ids of tokens are public, and anybody can sign with a key of their own: only the holder of a token that is known is spared
 * the budget of strangers. A token never names another key, so a wrong one is refused from memory.
 */
function refusedBeforeReading(
  context: LoginContext,
  login: ParsedLogin,
): 'holder_key_mismatch' | 'rate_limited' | undefined {
  const { facts, lookUps, ownLookUps, clock } = context;
  const { tokenId, presentedKey } = login;
  const holderKey = facts.holderKeyOf(tokenId);
  if (holderKey && !isSameKey(holderKey, presentedKey)) return 'holder_key_mismatch';
  if (facts.knows(tokenId)) return undefined;
  const isHolder = holderKey !== undefined || isKnown(context, login);
  const waitMs = isHolder
    ? ownLookUps.take(tokenId, clock.monotonicMs())
    : lookUps.take('', clock.monotonicMs());
  return waitMs > 0 ? 'rate_limited' : undefined;
}

const isSameKey = (one: Uint8Array, other: Uint8Array) => Buffer.compare(one, other) === 0;

/** What no later change on chain can make good for this token. */
const isForGood = (reason: LoginRefusal) =>
  ['stake_slashed', 'stake_withdrawn', 'token_superseded', 'token_revoked'].includes(reason);

/** The chain may take longer than the API server waits. */
async function inTime<T>(clock: Clock, reading: Promise<T>): Promise<T> {
  const answered = new AbortController();
  const late = clock.sleep(patienceMs, answered.signal).then(() => {
    throw new DaasError('DAAS_CHAIN_UNAVAILABLE', 'the chain does not answer in time', { isRetryable: true });
  });
  try {
    return await Promise.race([reading, late]);
  } finally {
    // Both may still fail, and nobody waits for them any more.
    late.catch(() => undefined);
    reading.catch(() => undefined);
    answered.abort();
  }
}

function accept(
  context: LoginContext,
  login: ParsedLogin,
  { token, record, cluster }: ChainFacts,
): Person | undefined {
  const tier = record && tierOf(cluster.parameters, record.stakeMist);
  // `examinePerson` has seen all three.
  if (!token || !record || !tier) return refuse(context, 'stake_too_low', login);
  context.known.add(login.tokenId, login.presentedKey);
  const person: Person = {
    wallet: login.wallet,
    recordId: record.id,
    tier,
    permissions: permissionsNow(token, cluster.parameters, record.stakeMist),
    proofId: proofIdOf(login),
  };
  context.acceptances.count(
    'login.accepted',
    { reason: tier, wallet: login.wallet },
    {
      wallet: login.wallet,
      record: record.id,
      seal_token: login.tokenId,
      proof: person.proofId,
      permissions: person.permissions.join(' '),
    },
  );
  return person;
}

/** `isProven`: the key that the chain names for the wallet has signed; strangers could name any wallet. */
function refuse(
  { refusals }: LoginContext,
  reason: LoginRefusal,
  login?: ParsedLogin,
  { isProven = false }: { readonly isProven?: boolean } = {},
): undefined {
  refusals.count(
    'login.refused',
    { reason, ...(login && isProven && { wallet: login.wallet }) },
    login ? { wallet: login.wallet, seal_token: login.tokenId, proof: proofIdOf(login) } : {},
  );
  return undefined;
}

function proofIdOf({ jws }: ParsedLogin): string {
  return createHash('sha256').update(jws).digest('hex').slice(0, 16);
}
