import { randomBytes } from 'node:crypto';
import { aborted, type Clock, DaasError } from '#base';
import type { GatewayEntry } from '#domain';
import { AttestationReply, PATHS } from './wire.ts';

/** What a gateway has shown of itself over a connection. */
export interface ShownEvidence {
  readonly gateway: GatewayEntry;
  /** SubjectPublicKeyInfo, DER, of the TLS key that the gateway has proven to hold. */
  readonly spki: Uint8Array;
  /** The one that this host has sent. */
  readonly nonce: Uint8Array;
  /** An evidence file, as JSON. */
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** Decides whether the evidence of a gateway is good enough for this host. */
export interface Attestor {
  /** How long a key counts after its evidence was judged. It is asked anew after half of that. */
  readonly maxAgeMs: number;
  /** @throws `DAAS_GATEWAY_NOT_ATTESTED` */
  readonly judge: (shown: ShownEvidence) => Promise<void>;
}

/** One request on a connection of its own, with the key of its peer. */
export type AskOnce = (
  path: string,
) => Promise<{ readonly status: number; readonly body: string; readonly spki: Uint8Array | undefined }>;

export interface AttestedKeysOptions {
  readonly gateway: GatewayEntry;
  readonly attestor: Attestor;
  readonly clock: Clock;
  readonly ask: AskOnce;
}

/**
 * The TLS keys that evidence was bound to. Whoever holds such a key is the machine that the evidence is of, so a request goes
 * only over connections whose peer has proven one of them. A resumed connection proves none.
 */
export interface AttestedKeys {
  readonly has: (spki: Uint8Array) => boolean;
  /** Resolves once a key counts. @throws `DAAS_GATEWAY_NOT_ATTESTED`, and what kept the gateway from being asked */
  ensure(signal?: AbortSignal): Promise<void>;
  /** Asks the gateway anew, whatever is known. */
  renew(signal?: AbortSignal): Promise<void>;
  /** Calls back when a key has ceased to count, until the function that it returns is called. */
  onEnded(listener: () => void): () => void;
}

export function createAttestedKeys(options: AttestedKeysOptions): AttestedKeys {
  const { attestor, clock } = options;
  const listeners = new Set<() => void>();
  const judgedAtMs = new Map<string, number>();
  const ageMs = (atMs: number) => clock.monotonicMs() - atMs;
  let renewing: Promise<void> | undefined;

  async function renewOnce(): Promise<void> {
    try {
      const spki = await attestedKey(options);
      judgedAtMs.set(hex(spki), clock.monotonicMs());
      endOld();
    } catch (error) {
      if (isRefusal(error)) end([...judgedAtMs.keys()]);
      throw error;
    }
  }

  function endOld(): void {
    end([...judgedAtMs].flatMap(([key, atMs]) => (ageMs(atMs) > attestor.maxAgeMs ? [key] : [])));
  }

  function end(keys: readonly string[]): void {
    for (const key of keys) judgedAtMs.delete(key);
    if (keys.length > 0) for (const listener of listeners) listener();
  }

  /** Those who ask at once share one, which ends by its own time-out: one of them that gives up does not end it for the others. */
  function renew(signal?: AbortSignal): Promise<void> {
    renewing ??= renewOnce().finally(() => {
      renewing = undefined;
    });
    return unlessAborted(renewing, signal);
  }

  return {
    has: (spki) => {
      const atMs = judgedAtMs.get(hex(spki));
      return atMs !== undefined && ageMs(atMs) <= attestor.maxAgeMs;
    },
    renew,
    onEnded(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async ensure(signal) {
      const youngestMs = Math.min(...[...judgedAtMs.values()].map(ageMs));
      if (youngestMs <= attestor.maxAgeMs / 2) return;
      await renew(signal).catch((error: unknown) => {
        // While the last verdict counts, a gateway that is only busy is no reason to leave it.
        if (isRefusal(error) || youngestMs > attestor.maxAgeMs) throw error;
      });
    },
  };
}

/** The key that the gateway holds, once its evidence was judged. */
async function attestedKey({ gateway, attestor, ask }: AttestedKeysOptions): Promise<Uint8Array> {
  const nonce = randomBytes(32);
  const path = `${PATHS.attestation}?nonce=${nonce.toString('base64url')}`;
  const { status, body, spki } = await ask(path);
  if (status === 429 || status >= 500) throw unavailable(gateway, status);
  const reply = AttestationReply.safeParse(status === 200 ? json(body) : undefined);
  if (!reply.success || !spki)
    throw notAttested(gateway, status === 404 ? MAKES_NONE : 'its reply is no evidence');
  await attestor.judge({ gateway, spki, nonce, evidence: reply.data.evidence });
  return spki;
}

const isRefusal = (error: unknown) =>
  error instanceof DaasError && error.code === 'DAAS_GATEWAY_NOT_ATTESTED';

const MAKES_NONE = 'it makes no evidence (gateway.attestation.provider)';

/** The next gateway may be one that does; this one may be mended. */
export function notAttested(gateway: GatewayEntry, why: string): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_NOT_ATTESTED',
    `the gateway ${gateway.id} at ${gateway.url} does not prove what it runs: ${why}. Nothing of this node was sent to it`,
    { isRetryable: true, details: { gateway: gateway.id, url: gateway.url } },
  );
}

function unavailable(gateway: GatewayEntry, status: number): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_EVIDENCE_UNAVAILABLE',
    `the gateway ${gateway.id} at ${gateway.url} makes no evidence now (HTTP ${status}): it is asked again`,
    { isRetryable: true, details: { gateway: gateway.id, url: gateway.url, status } },
  );
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  await (signal ? Promise.race([work, aborted(signal)]) : work);
  signal?.throwIfAborted();
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
