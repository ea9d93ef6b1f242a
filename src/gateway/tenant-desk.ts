import { type Clock, errorFields, forgetOldest, type Log } from '#base';
import type { Tenant, TenantKeeper } from '#domain';
import type { Audit } from './audit.ts';
import type { Person } from './logins.ts';

/** Sees to the namespaces of those who log in. */
export interface TenantDesk {
  /** Waits until the namespace is as it has to be, a moment at most: whoever logs in may use it at once. Never rejects. */
  welcome(person: Person): Promise<void>;
}

export interface TenantDeskOptions {
  readonly keeper: Pick<TenantKeeper, 'ensure'>;
  /** The ClusterRole of a permission; `undefined`: it grants nothing. */
  readonly roleOf: (permission: string) => string | undefined;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  readonly log: Log;
}

interface DeskContext extends TenantDeskOptions {
  /** What each wallet's namespace was last made for. */
  readonly known: Map<string, { readonly state: string; readonly atMs: number }>;
  readonly underway: Map<string, Promise<void>>;
}

/** The API server and its caller wait for the login, for 30 s at most. A busy k3s took 5 s to make a namespace. */
const patienceMs = 10_000;
/** The API server judges by bindings that a watch brings it, some tenths of a second later: k3s refused the first command of a person. */
const settleMs = 1_000;
/** An administrator may have deleted something: looked at again after this. */
const lookAgainMs = 600_000;
/** After a failure the next login tries again, not before this. */
const retryMs = 5_000;
const mostKnown = 10_000;
const mostUnderway = 32;

export function createTenantDesk(options: TenantDeskOptions): TenantDesk {
  const context: DeskContext = { ...options, known: new Map(), underway: new Map() };
  return { welcome: (person) => welcome(context, person) };
}

async function welcome(context: DeskContext, person: Person): Promise<void> {
  const { known, underway, clock } = context;
  const { wallet, recordId, tier, permissions } = person;
  const state = [recordId, tier, ...permissions].join(' ');
  const last = known.get(wallet);
  if (last?.state === state && clock.monotonicMs() < last.atMs) return;
  let work = underway.get(wallet);
  if (!work) {
    if (underway.size >= mostUnderway) return;
    work = ensure(context, person, state).finally(() => underway.delete(wallet));
    underway.set(wallet, work);
  }
  const done = new AbortController();
  const late = clock.sleep(patienceMs, done.signal).catch(() => undefined);
  await Promise.race([work, late]);
  done.abort();
}

async function ensure(context: DeskContext, person: Person, state: string): Promise<void> {
  const { keeper, audit, log, clock } = context;
  const { wallet, recordId, tier } = person;
  const tenant: Tenant = { wallet, recordId, tier, roles: rolesOf(context, person) };
  let validMs = lookAgainMs;
  try {
    const made = await keeper.ensure(tenant);
    if (made.length > 0) {
      audit.record('tenant.made', { wallet, tier, made: made.join(', ') });
      await clock.sleep(settleMs);
    }
  } catch (error) {
    validMs = retryMs;
    log.warn('The namespace of a wallet could not be made', { ...errorFields(error), wallet });
  }
  remember(context.known, wallet, { state, atMs: clock.monotonicMs() + validMs });
}

function rolesOf({ roleOf, log }: DeskContext, { permissions, wallet }: Person): Tenant['roles'] {
  return permissions.flatMap((permission) => {
    const role = roleOf(permission);
    if (role !== undefined) return [{ permission, role }];
    log.debug('A permission grants nothing: no role is mapped to it', { wallet, detail: permission });
    return [];
  });
}

function remember(known: DeskContext['known'], wallet: string, entry: { state: string; atMs: number }): void {
  known.delete(wallet);
  known.set(wallet, entry);
  forgetOldest(known, mostKnown);
}
