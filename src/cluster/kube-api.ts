import { dirname } from 'node:path';
import {
  AdmissionregistrationV1Api,
  ApiException,
  ApiextensionsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  KubeConfig,
  NetworkingV1Api,
  type ObservableMiddleware,
  RbacAuthorizationV1Api,
  type RequestContext,
  VersionApi,
} from '@kubernetes/client-node';
import { ConfigurationError, DaasError, messageOf, traced } from '#base';
import { readTrustedTextSync, type TrustRules, trustedFile } from '#infrastructure';

/**
 * The generated clients on one connection pool. Every call goes through `call`, which gives it a time-out and turns
 * what the API server answers into errors a caller can decide on.
 */
export interface KubeApi extends AsyncDisposable {
  readonly config: KubeConfig;
  readonly core: CoreV1Api;
  readonly coordination: CoordinationV1Api;
  readonly admission: AdmissionregistrationV1Api;
  readonly networking: NetworkingV1Api;
  readonly rbac: RbacAuthorizationV1Api;
  readonly extensions: ApiextensionsV1Api;
  readonly version: VersionApi;
  /**
   * Runs one request. Throws `KubeStatusError` when the API server refused it, and a retryable `DaasError` with code
   * `DAAS_CLUSTER_UNAVAILABLE` when it could not be asked or could not answer.
   */
  call<T>(what: string, request: (options: CallOptions) => Promise<T>, options?: CallSettings): Promise<T>;
}

export interface CallOptions {
  middleware: ObservableMiddleware[];
  middlewareMergeStrategy: 'append';
}
interface CallSettings {
  readonly signal?: AbortSignal | undefined;
  /** Content type of a patch; the generated client's own default is a JSON patch. */
  readonly patch?: 'json' | 'merge' | 'strategic';
  /** Asks for an answer that is not compressed: of sealed values that costs more than it saves. */
  readonly isPlain?: boolean;
  /** Sends the request as another user, which an administrator may. */
  readonly impersonate?: Impersonation;
}

export interface Impersonation {
  readonly user: string;
  readonly group: string;
  /** Fingerprint of a client certificate that the API server is to believe in. */
  readonly fingerprint?: string;
}

/** What the API server answered when it refused: its status code, `reason` and sentence. */
export class KubeStatusError extends DaasError {
  override readonly name = 'KubeStatusError';
  readonly status: number;
  readonly reason: string;
  constructor(what: string, status: number, reason: string, sentence: string, cause: unknown) {
    const advice =
      status === 401
        ? '; check the credentials in the kubeconfig'
        : status === 403
          ? "; let an administrator run 'k3s-daas gateway setup', which gives the gateway its rights"
          : '';
    super(
      status === 401 || status === 403 ? 'DAAS_CLUSTER_FORBIDDEN' : 'DAAS_CLUSTER_REFUSED',
      `the Kubernetes API refused to ${what}: ${sentence} (${status} ${reason})${advice}`,
      // Without the cause, which carries response headers and the whole body: the sentence is what is fit for a log.
      { details: { status, reason }, cause: cause instanceof Error && cause.cause ? cause.cause : undefined },
    );
    this.status = status;
    this.reason = reason;
  }
}

export const isNotFound = (error: unknown): boolean =>
  error instanceof KubeStatusError && error.status === 404;
export const isConflict = (error: unknown): boolean =>
  error instanceof KubeStatusError && error.status === 409;

/** Resolves with `undefined` when the object does not exist. */
export async function absentIsFine<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A failed precondition: the object that was meant is gone already. */
export async function conflictIsFine(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

/** How to reach the API server: the text of a kubeconfig, or the path of one. */
export type KubeconfigSource =
  | { readonly text: string }
  | { readonly path: string /** Refused when others can read it. */; readonly isPrivate?: boolean };

/** Reads a kubeconfig. Throws `DAAS_KUBECONFIG_INVALID` (exit 78) when it cannot be used. */
export function loadKubeconfig(source: KubeconfigSource): KubeConfig {
  const config = new KubeConfig();
  const where = 'path' in source ? source.path : 'the text given';
  try {
    if ('path' in source) loadFile(config, source);
    else config.loadFromString(source.text);
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_KUBECONFIG_INVALID',
      `the kubeconfig ${where} cannot be read: give the path of a readable one (k3s writes /etc/rancher/k3s/k3s.yaml)`,
      { cause },
    );
  }
  if (!config.getCurrentCluster() || !config.getCurrentUser())
    throw new ConfigurationError(
      'DAAS_KUBECONFIG_INVALID',
      `the kubeconfig ${where} names no current context with a cluster and a user: set current-context`,
    );
  return config;
}

/** A kubeconfig may name a program to run and files to trust: it is read with the care that a program needs. */
function loadFile(
  config: KubeConfig,
  { path, isPrivate = false }: { readonly path: string; readonly isPrivate?: boolean },
): void {
  const rules: TrustRules = {
    what: 'the kubeconfig',
    ...(isPrivate && { exposedCode: 'DAAS_KUBECONFIG_EXPOSED' }),
  };
  config.loadFromString(readTrustedTextSync(path, rules));
  config.makePathsAbsolute(dirname(path));
  const user = config.getCurrentUser();
  for (const file of [config.getCurrentCluster()?.caFile, user?.certFile, user?.keyFile])
    if (file !== undefined) trustedFile(file, { what: 'a file of the kubeconfig', origin: path });
}

export interface KubeApiOptions {
  readonly kubeconfig: KubeconfigSource;
  /** Time-out of one request; 10 s unless given. */
  readonly callTimeoutMs?: number;
  /**
   * Asked before each request that changes something, also one that is tried again: a gateway that no longer leads sends
   * none. Always, unless given.
   */
  readonly mayWrite?: (() => boolean) | undefined;
}

/** Opens the clients. Nothing is sent before the first call. */
export function openKubeApi({
  kubeconfig,
  callTimeoutMs = 10_000,
  mayWrite = () => true,
}: KubeApiOptions): KubeApi {
  const config = loadKubeconfig(kubeconfig);
  const pool = shareConnections(config);

  const call: KubeApi['call'] = (what, request, settings) =>
    traced(
      'kubernetes.request',
      () => ({ kind: 'client', attributes: { 'k3s_daas.what': what } }),
      () => send(what, request, settings),
    );

  async function send<T>(
    what: string,
    request: (options: CallOptions) => Promise<T>,
    { signal, patch, isPlain, impersonate }: CallSettings = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(callTimeoutMs);
    const deadline = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      return await request({
        middleware: [
          prepare((context) => {
            if (context.getHttpMethod() !== 'GET' && !mayWrite()) throw notLeading(what);
            context.setSignal(deadline);
            if (patch) context.setHeaderParam('Content-Type', contentTypes[patch]);
            if (isPlain) context.setHeaderParam('Accept-Encoding', 'identity');
            if (impersonate) {
              context.setHeaderParam('Impersonate-User', impersonate.user);
              context.setHeaderParam('Impersonate-Group', impersonate.group);
              if (impersonate.fingerprint)
                context.setHeaderParam(credentialHeader, `X509SHA256=${impersonate.fingerprint}`);
            }
          }),
        ],
        middlewareMergeStrategy: 'append',
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof DaasError) throw error;
      const failure = failureOf(what, error, timeout.aborted ? callTimeoutMs : undefined);
      if (failure instanceof KubeStatusError && failure.status === 401) pool.renew();
      throw failure;
    }
  }

  return {
    config,
    core: config.makeApiClient(CoreV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
    admission: config.makeApiClient(AdmissionregistrationV1Api),
    networking: config.makeApiClient(NetworkingV1Api),
    rbac: config.makeApiClient(RbacAuthorizationV1Api),
    extensions: config.makeApiClient(ApiextensionsV1Api),
    version: config.makeApiClient(VersionApi),
    call,
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

/** The key of a user's extra as Kubernetes takes it in a header: escaped. */
const credentialHeader = 'Impersonate-Extra-Authentication.kubernetes.io%2fcredential-id';

const contentTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

function prepare(change: (context: RequestContext) => void): ObservableMiddleware {
  // The client's own Observable type is a thin promise; this is the smallest value that satisfies it.
  const observable = <T>(value: T) => ({ toPromise: () => Promise.resolve(value) });
  return {
    pre: (context: RequestContext) => {
      change(context);
      return observable(context);
    },
    post: (context: unknown) => observable(context),
  } as unknown as ObservableMiddleware;
}

/**
 * The client builds a new connection pool for every request; this keeps the first one, so that a request does not cost
 * a TLS handshake. A 401 renews it: certificate files may have been replaced on disk.
 */
function shareConnections(config: KubeConfig): { renew(): void; close(): Promise<void> } {
  type Dispatcher = NonNullable<ReturnType<RequestContext['getDispatcher']>>;
  let shared: Dispatcher | undefined;
  const own = config.applySecurityAuthentication.bind(config);
  config.applySecurityAuthentication = async (context) => {
    await own(context);
    shared ??= context.getDispatcher();
    if (shared) context.setDispatcher(shared);
  };
  return {
    renew() {
      const old = shared;
      shared = undefined;
      old?.close().catch(() => undefined);
    },
    async close() {
      await shared?.destroy();
    },
  };
}

function failureOf(what: string, error: unknown, timedOutAfterMs: number | undefined): DaasError {
  if (error instanceof ApiException) {
    const { reason, sentence } = readStatus(error);
    const isPassing = error.code >= 500 || error.code === 429 || error.code === 408;
    if (!isPassing) return new KubeStatusError(what, error.code, reason, sentence, error);
    return unavailable(what, `it answered ${error.code} ${sentence}`, undefined);
  }
  if (timedOutAfterMs !== undefined)
    return unavailable(what, `no answer within ${timedOutAfterMs} ms`, error);
  return unavailable(what, messageOf(error), error);
}

function notLeading(what: string): DaasError {
  return new DaasError('DAAS_GATEWAY_NOT_LEADING', `this gateway does not lead: it does not ${what}`, {
    isRetryable: true,
  });
}

function unavailable(what: string, why: string, cause: unknown): DaasError {
  return new DaasError(
    'DAAS_CLUSTER_UNAVAILABLE',
    `the Kubernetes API could not be asked to ${what}: ${why}`,
    {
      isRetryable: true,
      cause,
    },
  );
}

/** The client gives a Status as an object or as JSON text, depending on the declared responses of the operation. */
function readStatus(error: ApiException<unknown>): { reason: string; sentence: string } {
  let body: unknown = error.body;
  if (typeof body === 'string') {
    try {
      body = JSON.parse(body);
    } catch {
      return { reason: 'Unknown', sentence: (body as string).slice(0, 200) };
    }
  }
  const status = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  return {
    reason: typeof status.reason === 'string' ? status.reason : 'Unknown',
    sentence: typeof status.message === 'string' ? status.message : `status ${error.code}`,
  };
}
