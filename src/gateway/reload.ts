import { isDeepStrictEqual } from 'node:util';
import { spkiPin } from '#api';
import type { Log } from '#base';
import type { ChainReader } from '#domain';
import type { Audit } from './audit.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { OperatorsListener } from './operators-listener.ts';
import type { PublicServer } from './public-server.ts';
import type { Reconciler } from './reconciler.ts';
import { checkOwnEntry, readTls, type TlsMaterial } from './server-files.ts';

/** What a reload has done with a configuration. */
export interface Reloaded {
  /** Settings that count from now on, `gateway.admit.maxNodes`. */
  readonly applied: readonly string[];
  /** Settings that differ and need a restart: the values of before stay in force. */
  readonly refused: readonly string[];
  readonly isNewCertificate: boolean;
}

/** Read where they are used; everything else goes into parts that are made once. */
const RELOADABLE: ReadonlySet<keyof RunnableGatewayConfig> = new Set([
  'admit',
  'cordonGraceMs',
  'drainMs',
  'factsGraceMs',
  'joinCredentialLifeMs',
  'onProposal',
  'taintNodes',
  'tls',
]);

/** What judges evidence of workers is made at the start: a mode without it would admit everything. */
const MADE_ONCE = 'gateway.admit.attestation';

export interface ReloadContext {
  /** The one that every part of the gateway reads: its reloadable members are replaced. */
  readonly config: RunnableGatewayConfig;
  /** What is served; replaced as a whole. */
  readonly tls: TlsMaterial;
  readonly publicServer: Pick<PublicServer, 'changeTls'>;
  /** Of the operators on other machines; `undefined`: it is off. */
  readonly operators?: Pick<OperatorsListener, 'changeTls'> | undefined;
  readonly reconciler: Pick<Reconciler, 'enqueueAll'>;
  readonly chain: Pick<ChainReader, 'cluster'>;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Log;
}

/**
 * Takes over a configuration while the gateway runs, and the certificate of its port, without closing a connection. What is
 * wrong with either is thrown before anything has changed.
 * @throws `DAAS_GATEWAY_TLS_UNREADABLE`, `DAAS_GATEWAY_TLS_INVALID`, `DAAS_GATEWAY_PIN_MISMATCH`; with a new key also what the
 * chain answers.
 */
export async function reload(context: ReloadContext, next: RunnableGatewayConfig): Promise<Reloaded> {
  const { config, tls, publicServer, reconciler, audit } = context;
  const nextTls = await readTls(next.tls);
  // A key that the chain does not name would lock every worker out.
  if (spkiPin(nextTls.cert) !== spkiPin(tls.cert))
    checkOwnEntry(await context.chain.cluster(), config.gatewayId, nextTls.cert, context.log);
  const changed = changedSettings(config, next);
  const applied = changed.filter(isReloadable);
  const refused = changed.filter((name) => !isReloadable(name));
  const isNewCertificate = nextTls.cert !== tls.cert;
  if (isNewCertificate || nextTls.key !== tls.key) {
    publicServer.changeTls(nextTls);
    context.operators?.changeTls(nextTls);
    Object.assign(tls, nextTls);
  }
  const taken = Object.fromEntries([...RELOADABLE].map((name) => [name, next[name]]));
  Object.assign(config, taken, { admit: { ...next.admit, attestation: config.admit.attestation } });
  audit.record('gateway.reloaded', {
    applied: applied.join(',') || undefined,
    refused: refused.join(',') || undefined,
    certificate: isNewCertificate,
  });
  reconciler.enqueueAll();
  return { applied, refused, isNewCertificate };
}

function isReloadable(name: string): boolean {
  const [, section] = name.split('.');
  return RELOADABLE.has(section as keyof RunnableGatewayConfig) && !name.startsWith(MADE_ONCE);
}

/** The names of the settings that differ, `gateway.admit.maxNodes`. */
function changedSettings(before: object, after: object): readonly string[] {
  return differences(before, after, 'gateway');
}

/** The names of the leaves in which two values differ. Lists are one leaf. */
export function differences(before: unknown, after: unknown, name: string): readonly string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isRecord(before) || !isRecord(after)) return [name];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => differences(before[key], after[key], `${name}.${key}`)).sort();
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
