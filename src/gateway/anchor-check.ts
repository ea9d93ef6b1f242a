import { ConfigurationError, DaasError, errorFields } from '#base';
import { type AuditAnchor, newestAnchor } from '#domain';
import { anchorStanding, GIVEN_UP_EVENT, ROLLED_BACK_EVENT } from './anchor-standing.ts';
import type { Audit } from './audit.ts';
import { createAuditSigner } from './audit-signer.ts';
import { type KeyedHash, notedAnchor } from './audit-tail.ts';
import { auditPathOf, type GatewayOptions, type Records } from './gateway-parts.ts';

/** What the full nodes show. */
interface AnchorsRead {
  readonly anchors: readonly AuditAnchor[];
  /** How many full nodes have shown all that they were asked for, of how many. */
  readonly answered: number;
  readonly asked: number;
}

interface AnchorQuestion {
  /** Later ones come too, and do not take the place of one of before. */
  readonly untilMs: number;
  /** Transactions to look at beside those of the wallet's coins. */
  readonly from: readonly string[];
  /** What is there by then counts. */
  readonly mostMs: number;
  /** So long for the others, once one full node has answered. */
  readonly othersMs: number;
}

/** Reads the heads of this gateway's audit file that were anchored on chain. */
export interface AuditAnchors {
  /** The newest of each coin of the wallet. Rejects with why no full node has shown anything. */
  read(asked: AnchorQuestion, signal: AbortSignal): Promise<AnchorsRead>;
}

/**
 * Compares the audit file with its newest anchor: a state and an audit file that were put back together agree with each other,
 * and the chain alone remembers what came after.
 */
export interface AnchorCheck {
  /**
   * Before anything is decided. A chain that does not answer in time does not prevent the start.
   * @throws `DAAS_STATE_ROLLED_BACK`.
   */
  begin(): Promise<void>;
  /** Asks again until every full node has answered, at most for a day once one has; throws as `begin`. */
  run(signal: AbortSignal): Promise<void>;
  /** Until then nothing may be anchored: the newest anchor would be that of the files that were put back. */
  isMade(): boolean;
}

/** A start waits no longer; later there is time. */
const patience = {
  start: { mostMs: 10_000, othersMs: 5_000 },
  later: { mostMs: 60_000, othersMs: 60_000 },
} as const;
/** While none has answered, and while some have not. */
const retryMs = { none: 60_000, some: 600_000 } as const;
const dayMs = 86_400_000;
/** By so much an earlier clock of this gateway may have been ahead. */
const skewMs = 300_000;

type Options = Pick<GatewayOptions, 'anchors' | 'config' | 'clock' | 'log' | 'signingKey'>;
type Known = Pick<Records, 'audit' | 'restored'>;

interface Judged extends Options, Known {
  readonly mac: KeyedHash;
  /** The digests of what was found missing, and accepted. */
  readonly givenUp: Set<string>;
  /** The digests of what need not be looked for again: it was held, or in a file that was removed. */
  readonly settled: Set<string>;
}

/** `undefined`: nothing is anchored. */
export function createAnchorCheck(options: Options, records: Known): AnchorCheck | undefined {
  const { anchors, clock, log, config, signingKey } = options;
  if (!anchors) return undefined;
  const begunAtMs = clock.monotonicMs();
  const sayOnce = onceEach(log);
  const mac = signingKey && createAuditSigner(signingKey, config.gatewayId).mac;
  const judged = { ...options, ...records, mac, givenUp: new Set<string>(), settled: new Set<string>() };
  let isMade = false;
  let isWhole = false;
  /** Resolves with why nothing is known. */
  const attempt = async (signal: AbortSignal, when: keyof typeof patience): Promise<unknown> => {
    // Since this start: what it has anchored itself says nothing of the files that it began with. The clock may be set meanwhile.
    const untilMs = clock.nowMs() - (clock.monotonicMs() - begunAtMs);
    const noted = await notedAnchor(auditPathOf(config));
    const asked = { untilMs, from: noted ? [noted.digest] : [], ...patience[when] };
    const read = await anchors.read(asked, signal).catch((cause: unknown) => ({ cause }));
    if ('cause' in read) return read.cause;
    const ahead = await judge(judged, { untilMs, anchors: read.anchors });
    if (ahead) sayOnce('audit.anchor-ahead', aheadText, anchorText(ahead));
    // A full node that takes too long may have more to show.
    if (read.answered === 0) return new Error('no full node has shown all in time');
    isMade = true;
    isWhole = read.answered === read.asked && !ahead;
    if (read.answered < read.asked)
      sayOnce('audit.anchor-unread', partText, `${read.answered} of ${read.asked} full nodes have answered`);
    if (noted && !read.anchors.some(({ sequence }) => sequence >= noted.sequence))
      sayOnce('audit.anchor-hidden', hiddenText, `line ${noted.sequence}, transaction ${noted.digest}`);
    return undefined;
  };
  const sayUnread = (cause: unknown) =>
    log.warn(unreadText, { event: 'audit.anchor-unread', ...errorFields(cause) });
  return {
    async begin() {
      const cause = await attempt(new AbortController().signal, 'start');
      if (cause !== undefined) sayUnread(cause);
    },
    async run(signal) {
      const isOver = () => isWhole || (isMade && clock.monotonicMs() - begunAtMs > dayMs);
      for (let round = 1; !isOver() && !signal.aborted; round += 1) {
        await clock.sleep(isMade ? retryMs.some : retryMs.none, signal).catch(() => undefined);
        if (signal.aborted) return;
        const cause = await attempt(signal, 'later').catch(passing);
        if (cause !== undefined && !signal.aborted && round % 10 === 0) sayUnread(cause);
      }
    },
    isMade: () => isMade,
  };
}

/** What ends a running gateway is that its files were put back; too many open files, say, pass. */
function passing(cause: unknown): unknown {
  if (cause instanceof DaasError && cause.code === 'DAAS_STATE_ROLLED_BACK') throw cause;
  return cause;
}

const unreadText =
  'The audit file could not be compared with what was anchored of it on chain: whether it was put back is looked at again';
const partText =
  'Not every full node says what was anchored of the audit file: those that do may hide that it was put back';
const hiddenText =
  'The full nodes show no anchor as new as one that the audit file notes: they hide or have pruned it, or the coins of the wallet are gone';
const aheadText =
  'What was anchored of the audit file is later than now, and does not count: the clock of this gateway is wrong or was, or somebody has the key of the wallet. Set the clock, or give the gateway a new wallet (chain.probe.keyFile)';

const anchorText = ({ sequence, atMs, digest }: AuditAnchor) =>
  `line ${sequence} of ${new Date(atMs).toISOString()}, transaction ${digest}`;

/** Each event once: the check is made again and again. */
function onceEach(log: Options['log']) {
  const said = new Set<string>();
  return (event: string, text: string, detail: string) => {
    if (!said.has(event)) log.warn(text, { event, detail });
    said.add(event);
  };
}

/** @returns an anchor that is later than now. */
async function judge(
  known: Judged,
  { untilMs, anchors }: { readonly untilMs: number; readonly anchors: readonly AuditAnchor[] },
): Promise<AuditAnchor | undefined> {
  // What was restored a moment ago stands in the file first.
  await known.audit.flush();
  const before = newestAnchor(anchors.filter(({ atMs }) => atMs <= untilMs));
  // An anchor of before from a clock that was a little ahead, or one of this life, which is held.
  const about = anchors.filter(({ atMs }) => atMs > untilMs && atMs <= untilMs + skewMs);
  for (const anchor of before ? [...about, before] : about) await compare(known, anchor);
  const latestMs = known.clock.nowMs() + skewMs;
  return anchors.find(({ atMs }) => atMs > latestMs);
}

async function compare(
  { config, log, mac, audit, restored, givenUp, settled }: Judged,
  anchor: AuditAnchor,
): Promise<void> {
  if (settled.has(anchor.digest)) return;
  const standing = await anchorStanding(auditPathOf(config), anchor, mac);
  if (standing.kind !== 'missing') settled.add(anchor.digest);
  if (standing.kind === 'held') return;
  if (standing.kind === 'rotated') {
    log.warn('The line that was anchored on chain last is older than the oldest audit file that is kept', {
      event: 'audit.anchor-rotated',
      detail: anchorText(anchor),
    });
    return;
  }
  const { detail } = standing;
  if (standing.isAccepted || (restored?.atMs ?? 0) > anchor.atMs) {
    if (givenUp.has(anchor.digest)) return;
    givenUp.add(anchor.digest);
    log.warn(
      'The audit file lacks a line that was anchored on chain, and the operator has restored it since',
      { event: GIVEN_UP_EVENT, detail },
    );
    // The line of the restore may be in a file that is removed before the next anchor.
    audit.record(GIVEN_UP_EVENT, { anchored: anchor.sequence, transaction: anchor.digest });
    return;
  }
  await refuse(audit, anchor, detail);
}

async function refuse(
  audit: Pick<Audit, 'record' | 'flush'>,
  { sequence, digest }: AuditAnchor,
  detail: string,
): Promise<never> {
  audit.record(ROLLED_BACK_EVENT, { anchored: sequence, transaction: digest });
  await audit.flush();
  throw new ConfigurationError(
    'DAAS_STATE_ROLLED_BACK',
    `the state and the audit file were put back, or the audit file was made anew: ${detail}. Bans since then are missing: put the newer files in their place, or accept these with 'k3s-daas gateway state backup --out FILE' and 'k3s-daas gateway state restore FILE'`,
    { details: { sequence, digest } },
  );
}
