import type { Lifetime } from '#base';
import type { Authority, KeyPair } from './authority.ts';
import type { SecretData } from './credentials.ts';
import type { Identity } from './identity.ts';
import { at, decodedData, type KubeObject } from './objects.ts';
import { Refusal } from './status.ts';
import type { SupervisorCluster } from './supervisor-options.ts';
import { send } from './worker.ts';

/** One call of the real API as an administrator; resolves to the answer, also when that is a refusal. */
export type PlainApi = (
  method: string,
  path: string,
  body?: unknown,
  contentType?: string,
) => Promise<{ status: number; object: KubeObject }>;

export interface PlainApiOptions {
  /** The real API server. */
  readonly apiUrl: string;
  readonly serverCa: Authority;
  /** An administrator's client certificate: the supervisor's own identity. */
  readonly admin: KeyPair;
}

export function plainApi({ apiUrl, serverCa, admin }: PlainApiOptions): PlainApi {
  return async (method, path, body, contentType = 'application/json') => {
    const answer = await send({
      url: apiUrl + path,
      method,
      ca: serverCa.certificate,
      client: admin,
      headers: { 'content-type': contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, object: JSON.parse(answer.text) as KubeObject };
  };
}

const secrets = '/api/v1/namespaces/kube-system/secrets';
const passwordType = 'k3s.cattle.io/node-password';
const passwordSuffix = '.node-password.k3s';
const roundEveryMs = 500;

/** The supervisor's view of a real API server. */
export function clusterOf(api: PlainApi): SupervisorCluster {
  return {
    async secret(name): Promise<SecretData | undefined> {
      const { status, object } = await api('GET', `${secrets}/${name}`);
      if (status === 404) return undefined;
      if (status !== 200) throw unready(object);
      return {
        type: String(object.type),
        isBeingDeleted: object.metadata.deletionTimestamp !== undefined,
        data: decodedData(object),
      };
    },
    async review(token) {
      const apiVersion = 'authentication.k8s.io/v1';
      const body = { apiVersion, kind: 'TokenReview', spec: { token } };
      const { object } = await api('POST', `/apis/${apiVersion}/tokenreviews`, body);
      const status = (object as { status?: { authenticated?: boolean; user?: Identity } }).status;
      return status?.authenticated ? status.user : undefined;
    },
    async createNodePassword(name, hash) {
      const body = { metadata: { name }, type: passwordType, immutable: true, stringData: { hash } };
      const { status, object } = await api('POST', secrets, body);
      if (status !== 201 && status !== 409) throw unready(object);
      return status === 201;
    },
    async nodeExists(name) {
      const { status, object } = await api('GET', `/api/v1/nodes/${name}`);
      if (status !== 200 && status !== 404) throw unready(object);
      return status === 200;
    },
  };
}

const unready = (answer: KubeObject): Refusal =>
  new Refusal(503, 'ServiceUnavailable', `the API server did not answer as hoped: ${String(answer.message)}`);

/** Tends the password Secrets in rounds, as k3s does, until the lifetime ends. */
export function startNodePasswords(api: PlainApi, sweepMs: number, lifetime: Lifetime): void {
  let round: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    round = round.then(() => tendNodePasswords(api, sweepMs)).catch(() => undefined);
  }, roundEveryMs);
  lifetime.defer('node passwords', () => {
    clearInterval(timer);
    return round;
  });
}

/** k3s' own controller of password Secrets: owned by the Node once there is one, swept after long without. */
async function tendNodePasswords(api: PlainApi, sweepMs: number): Promise<void> {
  const listed = async (path: string) => ((await api('GET', path)).object.items ?? []) as KubeObject[];
  const passwords = await listed(`${secrets}?fieldSelector=type%3D${encodeURIComponent(passwordType)}`);
  if (passwords.length === 0) return;
  const nodes = new Map((await listed('/api/v1/nodes')).map((node) => [node.metadata.name, node]));
  for (const { metadata } of passwords) {
    const { name = '', uid, creationTimestamp = '', resourceVersion } = metadata;
    const node = nodes.get(name.slice(0, -passwordSuffix.length));
    const owner = node && {
      apiVersion: 'v1',
      kind: 'Node',
      name: node.metadata.name,
      uid: node.metadata.uid,
    };
    if (!owner) {
      const isOld = Date.now() - Date.parse(creationTimestamp) > sweepMs;
      if (isOld && !at(metadata, 'ownerReferences'))
        await api('DELETE', `${secrets}/${name}`, { preconditions: { uid } });
    } else if (!metadata.ownerReferences?.some((one) => one.uid === owner.uid)) {
      const patch = { metadata: { resourceVersion, ownerReferences: [owner] } };
      await api('PATCH', `${secrets}/${name}`, patch, 'application/merge-patch+json');
    }
  }
}
