import { type Clock, ConfigurationError, errorFields } from '#base';
import { type AuditAnchor, newestAnchor } from '#domain';
import type { Audit } from './audit.ts';
import { anchorStanding } from './audit-tail.ts';
import { auditPathOf, type GatewayOptions, type Records } from './gateway-parts.ts';

/** Reads the heads of this gateway's audit file that were anchored on chain. */
export interface AuditAnchors {
  /** The newest of each coin of the wallet. Rejects with why no full node has answered. */
  read(signal: AbortSignal): Promise<readonly AuditAnchor[]>;
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
  /** Asks the chain again until it has answered; throws as `begin`. */
  run(signal: AbortSignal): Promise<void>;
  /** Until then nothing may be anchored: the newest anchor would be that of the files that were put back. */
  isMade(): boolean;
}

/** A start waits no longer; later there is time. */
const patienceMs = { start: 10_000, later: 60_000 } as const;
const retryMs = 60_000;

type Options = Pick<GatewayOptions, 'anchors' | 'config' | 'clock' | 'log'>;
type Known = Pick<Records, 'audit' | 'restored'>;

/** `undefined`: nothing is anchored. */
export function createAnchorCheck(options: Options, records: Known): AnchorCheck | undefined {
  const { anchors, clock, log } = options;
  if (!anchors) return undefined;
  let isMade = false;
  const attempt = async (signal: AbortSignal, mostMs: number) => {
    const read = await readInTime({ clock, anchors, mostMs }, signal);
    if (read.kind === 'silent') return read.cause;
    await judge(options, records, newestAnchor(read.anchors));
    isMade = true;
    return undefined;
  };
  return {
    async begin() {
      const cause = await attempt(new AbortController().signal, patienceMs.start);
      if (cause !== undefined)
        log.warn(
          'The chain does not say what was anchored of the audit file: whether it was put back is looked at once the chain answers',
          { event: 'audit.anchor-unread', ...errorFields(cause) },
        );
    },
    async run(signal) {
      while (!isMade && !signal.aborted) {
        await clock.sleep(retryMs, signal).catch(() => undefined);
        if (!signal.aborted) await attempt(signal, patienceMs.later);
      }
    },
    isMade: () => isMade,
  };
}

type Read =
  | { readonly kind: 'anchors'; readonly anchors: readonly AuditAnchor[] }
  | { readonly kind: 'silent'; readonly cause: unknown };

async function readInTime(
  {
    clock,
    anchors,
    mostMs,
  }: { readonly clock: Clock; readonly anchors: AuditAnchors; readonly mostMs: number },
  signal: AbortSignal,
): Promise<Read> {
  const ended = new AbortController();
  const late = clock.sleep(mostMs, AbortSignal.any([signal, ended.signal])).then(
    (): Read => ({ kind: 'silent', cause: new Error(`no answer within ${mostMs} ms`) }),
    (cause: unknown): Read => ({ kind: 'silent', cause }),
  );
  const reading = anchors.read(AbortSignal.any([signal, ended.signal])).then(
    (read): Read => ({ kind: 'anchors', anchors: read }),
    (cause: unknown): Read => ({ kind: 'silent', cause }),
  );
  try {
    return await Promise.race([reading, late]);
  } finally {
    ended.abort();
  }
}

async function judge(
  { config, log }: Pick<Options, 'config' | 'log'>,
  { audit, restored }: Known,
  anchor: AuditAnchor | undefined,
): Promise<void> {
  if (!anchor) return;
  // What was restored a moment ago stands in the file first.
  await audit.flush();
  const standing = await anchorStanding(auditPathOf(config), anchor);
  if (standing.kind === 'held') return;
  if (standing.kind === 'rotated') {
    log.warn('The line that was anchored on chain last is older than the oldest audit file that is kept', {
      event: 'audit.anchor-rotated',
      detail: `line ${anchor.sequence}, transaction ${anchor.digest}`,
    });
    return;
  }
  const { detail } = standing;
  if (standing.isAccepted || (restored?.atMs ?? 0) > anchor.atMs) {
    log.warn(
      'The audit file lacks a line that was anchored on chain, and the operator has restored it since',
      {
        event: 'audit.anchor-given-up',
        detail,
      },
    );
    return;
  }
  await refuse(audit, anchor, detail);
}

async function refuse(
  audit: Pick<Audit, 'record' | 'flush'>,
  { sequence, digest }: AuditAnchor,
  detail: string,
): Promise<never> {
  audit.record('state.rolled_back', { anchored: sequence, transaction: digest });
  await audit.flush();
  throw new ConfigurationError(
    'DAAS_STATE_ROLLED_BACK',
    `the state and the audit file were put back, or the audit file was made anew: ${detail}. Bans since then are missing: put the newer files in their place, or accept these with 'k3s-daas gateway state backup --out FILE' and 'k3s-daas gateway state restore FILE'`,
    { details: { sequence, digest } },
  );
}
