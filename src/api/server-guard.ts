import { request } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { DaasError, describeNetworkFailure, type ErrorCode, EXIT, type Log, messageOf } from '#base';
import type { Cluster } from '#domain';
import { proxyFor, readBody, readCaBundle } from '#infrastructure';
import type { JoinCredential } from '#plugin';
import { systemRoots } from './system-roots.ts';
import { openTunnel } from './tunnel.ts';

/** What the chain says about the Kubernetes server of the cluster. */
type ServerFacts = Pick<Cluster, 'servers' | 'caHashes'>;

/** A server that was checked against the chain. */
export interface PinnedServer {
  readonly url: string;
  /** Of the join token: lower-case hex. */
  readonly caHash: string;
}

export interface ServerGuardOptions {
  /** Reads the cluster; with a trust pin its facts are proven. */
  readonly cluster: (signal?: AbortSignal) => Promise<ServerFacts>;
  readonly log: Log;
  /** What the operator of the worker says instead (`join.trustServer`); it counts where the chain says nothing. */
  readonly trusted?: ServerFacts | undefined;
  /** Called when a check has passed: with what a later start without a credential is held to, or nothing where the chain pins nothing. */
  readonly onPassed?: (pinned: PinnedServer | undefined) => Promise<void>;
  /** Where SSL_CERT_FILE, SSL_CERT_DIR and the proxies are read. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs?: number;
}

/** Checks the server of a join credential against the chain, before the agent starts with it. */
export type ServerGuard = (join: JoinCredential, signal: AbortSignal) => Promise<void>;

const DEFAULT_TIMEOUT_MS = 10_000;
/** A CA bundle has a few kilobytes. */
const LONGEST_BUNDLE_BYTES = 256 * 1024;

/**
 * Throws `DAAS_SERVER_NOT_LISTED`, `DAAS_SERVER_CA_MISMATCH`, `DAAS_SERVER_SYSTEM_TRUSTED` and `DAAS_SERVER_UNREACHABLE`,
 * all retryable: the chain or the server may be corrected meanwhile.
 */
export function createServerGuard({
  cluster,
  log,
  trusted,
  onPassed,
  ...options
}: ServerGuardOptions): ServerGuard {
  let before: string | undefined;
  return async (join, signal) => {
    const listed = await cluster(signal);
    const servers = namedBy(listed.servers, trusted?.servers);
    const caHashes = namedBy(listed.caHashes, trusted?.caHashes);
    const facts = { servers: servers.named, caHashes: caHashes.named };
    const isUsed = servers.by === BY_OPERATOR || caHashes.by === BY_OPERATOR;
    if (trusted && !isUsed && before === undefined)
      log.warn('join.trustServer is not used: the cluster names its server on chain');
    if (servers.by === ON_CHAIN && caHashes.by === ON_CHAIN) before = tellChange(listed, before, log);
    assertListed(join, facts, servers.by);
    if (facts.caHashes.length === 0) return onPassed?.(undefined);
    const pin = pinOf(join, facts, caHashes.by);
    const dial = { timeoutMs: DEFAULT_TIMEOUT_MS, environment: process.env, ...options };
    try {
      await assertServer(new URL(join.server), pin, dial, signal);
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof DaasError) throw cause;
      throw refusal(
        'DAAS_SERVER_UNREACHABLE',
        `the server ${join.server} cannot be checked before the agent starts: ${describeNetworkFailure(cause)}`,
        join,
      );
    }
    await onPassed?.({ url: join.server, caHash: pin });
  };
}

/** A restart waits no longer: k3s waits for its server by itself, and may know others. */
const RESTART_TIMEOUT_MS = 3_000;

/**
 * The same for a start without a credential, by what the last check was held to: no chain is needed. A server that cannot be
 * reached is no reason not to start. Throws `DAAS_SERVER_CA_MISMATCH` and `DAAS_SERVER_SYSTEM_TRUSTED`.
 */
export async function checkPinnedServer(
  { url, caHash }: PinnedServer,
  { log, ...options }: Omit<ServerGuardOptions, 'cluster' | 'onPassed'>,
  signal: AbortSignal,
): Promise<void> {
  const dial = { timeoutMs: RESTART_TIMEOUT_MS, environment: process.env, ...options };
  try {
    await assertServer(new URL(url), caHash, dial, signal);
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof DaasError) throw cause;
    log.warn('The server could not be checked before the agent starts', {
      detail: describeNetworkFailure(cause),
    });
  }
}

/** Says what is unchecked, and what has changed on chain since the last start of the agent. */
function tellChange({ servers, caHashes }: ServerFacts, before: string | undefined, log: Log): string {
  const hashes = caHashes.map(hex);
  const now = JSON.stringify([servers, hashes]);
  if (before === undefined) {
    if (servers.length === 0) log.warn('The cluster lists no server on chain: any server is joined');
    if (hashes.length === 0)
      log.warn('The cluster lists no CA hash on chain: the CA of the server is unchecked');
  } else if (before !== now)
    log.warn('The servers of the cluster have changed on chain', { servers, caHashes: hashes });
  return now;
}

/** Who says which server it is, in the words of a refusal. */
interface Namer {
  readonly list: string;
  readonly hashes: string;
  readonly remedy: (flag: string) => string;
}
const ON_CHAIN: Namer = {
  list: 'in the list of the cluster on chain',
  hashes: 'the cluster lists',
  remedy: (flag) => `The admin lists it with \`k3s-daas cluster set ${flag}\``,
};
const BY_OPERATOR: Namer = {
  list: 'the one of join.trustServer (--trust-server)',
  hashes: 'join.trustServer (--trust-server) has',
  remedy: () => 'Ask the operator of the cluster which server and CA hash it has, and correct it',
};

/** What the chain leaves open the operator of the worker may say: of the servers, and of the CA hashes, each by itself. */
function namedBy<T>(listed: readonly T[], trusted: readonly T[] | undefined) {
  return listed.length === 0 && trusted
    ? { named: trusted, by: BY_OPERATOR }
    : { named: listed, by: ON_CHAIN };
}

/** Throws `DAAS_SERVER_NOT_LISTED`. */
function assertListed(join: Pick<JoinCredential, 'server'>, { servers }: ServerFacts, by: Namer): void {
  const isListed = servers.length === 0 || servers.some((listed) => sameOrigin(listed, join.server));
  if (isListed) return;
  throw refusal(
    'DAAS_SERVER_NOT_LISTED',
    `the gateway names the server ${join.server}, which is not ${by.list} (${servers.join(', ')}). Nothing was started. ${by.remedy('--server')}`,
    join,
  );
}

/** The CA hash of the token, if it is listed. Throws `DAAS_SERVER_CA_MISMATCH`. */
function pinOf(join: JoinCredential, { caHashes }: ServerFacts, by: Namer): string {
  const listed = caHashes.map(hex);
  const [, hash] = /^K10([0-9a-f]{64})::/.exec(join.token.reveal()) ?? [];
  if (hash !== undefined && listed.includes(hash)) return hash;
  throw refusal(
    'DAAS_SERVER_CA_MISMATCH',
    `the join credential has ${hash === undefined ? 'no CA hash' : `the CA hash ${hash}`}, ${by.hashes} ${listed.join(', ')}. Nothing was started. ${by.remedy('--ca-hash')}`,
    join,
  );
}

interface Dial {
  readonly timeoutMs: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * k3s trusts a server whose certificate the machine trusts without looking at the CA hash. So such a server is refused, and
 * any other must end in the CA bundle that has the hash.
 */
async function assertServer(server: URL, pin: string, dial: Dial, signal: AbortSignal): Promise<void> {
  const roots = await systemRoots(dial.environment);
  signal.throwIfAborted();
  const problem = roots.length === 0 ? 'no roots' : await verify(server, roots, dial, signal);
  if (problem === undefined)
    throw refusal(
      'DAAS_SERVER_SYSTEM_TRUSTED',
      `the certificate of the server ${server.origin} is trusted by this machine's own CA bundle: k3s would not check the CA hash. Nothing was started. Use a server certificate of the cluster's own CA`,
      { server: server.origin },
    );
  signal.throwIfAborted();
  const bundle = await fetchBundle(server, dial, signal);
  signal.throwIfAborted();
  const { hash, trusted } = caOf(bundle, server);
  if (hash !== pin)
    throw refusal(
      'DAAS_SERVER_CA_MISMATCH',
      `the CA bundle of ${server.origin}/cacerts has the hash ${hash}, and not ${pin}, which this cluster has. Nothing was started: this is another server, or the network between is not to be trusted`,
      { server: server.origin },
    );
  const chainProblem = await verify(server, trusted, dial, signal);
  if (chainProblem !== undefined)
    throw refusal(
      'DAAS_SERVER_CA_MISMATCH',
      `the certificate of the server ${server.origin} does not end in the CA of this cluster (${chainProblem}). Nothing was started`,
      { server: server.origin },
    );
}

/** Throws `DAAS_SERVER_CA_MISMATCH` for bytes that are no bundle. */
function caOf(bundle: Buffer, server: URL) {
  try {
    return readCaBundle(bundle);
  } catch (cause) {
    throw refusal(
      'DAAS_SERVER_CA_MISMATCH',
      `${server.origin}/cacerts is no CA bundle (${messageOf(cause)}). Nothing was started: this is another server, or the network between is not to be trusted`,
      { server: server.origin },
    );
  }
}

/** Why the server's certificate is not trusted by these roots; `undefined`: it is. */
async function verify(
  server: URL,
  roots: readonly string[],
  dial: Dial,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { host, port } = addressOf(server);
  const tunnel = await tunnelTo(server, dial, signal);
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const socket = connect({
    ...(tunnel ? { socket: tunnel } : { host, port }),
    ...(isIP(host) === 0 && { servername: host }),
    host,
    ca: [...roots],
    // As Go does: an intermediate CA among the roots is trusted without the CA above it.
    allowPartialTrustChain: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  const ended = AbortSignal.any([signal, AbortSignal.timeout(dial.timeoutMs)]);
  const abort = () =>
    reject(signal.aborted ? signal.reason : new Error(`no answer within ${dial.timeoutMs} ms`));
  ended.addEventListener('abort', abort, { once: true });
  // A signal that ended while the tunnel was made fires no event any more.
  if (ended.aborted) abort();
  socket.once('error', reject);
  socket.once('secureConnect', () =>
    resolve(socket.authorized ? undefined : String(socket.authorizationError ?? 'not trusted')),
  );
  try {
    return await promise;
  } finally {
    ended.removeEventListener('abort', abort);
    socket.destroy();
  }
}

/** Without any check of the certificate, as k3s fetches it: its hash is what counts. */
async function fetchBundle(server: URL, dial: Dial, signal: AbortSignal): Promise<Buffer> {
  const { host, port } = addressOf(server);
  const tunnel = await tunnelTo(server, dial, signal);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const asked = request({
    host,
    port,
    path: '/cacerts',
    ...(tunnel && { socket: tunnel }),
    ...(isIP(host) === 0 && { servername: host }),
    agent: false,
    rejectUnauthorized: false,
    signal: AbortSignal.any([signal, AbortSignal.timeout(dial.timeoutMs)]),
  });
  asked.once('error', reject);
  asked.once('response', (reply) => {
    if (reply.statusCode !== 200)
      return void asked.destroy(new Error(`/cacerts: HTTP status ${reply.statusCode}`));
    readBody(reply, LONGEST_BUNDLE_BYTES).then(resolve, reject);
  });
  asked.end();
  return promise;
}

async function tunnelTo(
  server: URL,
  { environment, timeoutMs }: Dial,
  signal: AbortSignal,
): Promise<Socket | undefined> {
  const proxy = proxyFor(server, environment);
  return proxy && ((await openTunnel(proxy, addressOf(server), timeoutMs, signal)) as Socket);
}

function addressOf(server: URL): { readonly host: string; readonly port: number } {
  return { host: server.hostname.replace(/^\[|\]$/g, ''), port: Number(server.port || 443) };
}

function sameOrigin(a: string, b: string): boolean {
  return URL.parse(a)?.origin === URL.parse(b)?.origin;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function refusal(code: ErrorCode, message: string, { server }: Pick<JoinCredential, 'server'>): DaasError {
  return new DaasError(code, message, {
    isRetryable: true,
    exitCode: EXIT.joinDeadline,
    details: { server },
  });
}
