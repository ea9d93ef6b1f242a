import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { NODE_PASSWORD_TYPE, SYSTEM_NAMESPACE } from '#cluster';
import { bindingOfName, roleOfName } from '../src/cluster/name-role.ts';
import { passwordSecretName, secretMarks } from '../src/cluster/words.ts';
import { id } from '../src/gateway/ids.fixture.ts';

/**
 * A stand-in for the API server in a process of its own, so that its CPU does not count. It keeps objects by their path, answers reads
 * and writes of single ones as the API server does, and checks nothing. The stand-in of the tests does much more, and is too slow for it.
 */
export interface ApiServer extends Disposable {
  readonly url: string;
  readonly kubeconfig: string;
}

interface KubeObject {
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

interface Start {
  readonly names: number;
  readonly tls: { readonly cert: string; readonly key: string };
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';

/** Starts one that lists so many names, with the password Secret of each. */
export async function startApiServer(names: number, tls: Start['tls']): Promise<ApiServer> {
  const child = fork(fileURLToPath(import.meta.url), { execArgv: ['--conditions=source'] });
  child.send({ names, tls } satisfies Start);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const url = `https://127.0.0.1:${port}`;
  return { url, kubeconfig: kubeconfigOf(url, tls.cert), [Symbol.dispose]: () => child.disconnect() };
}

/** JSON is YAML. */
const kubeconfigOf = (server: string, cert: string) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'bench',
        cluster: { server, 'certificate-authority-data': Buffer.from(cert).toString('base64') },
      },
    ],
    users: [{ name: 'bench', user: { token: 'as-long-as-a-token-of-a-service-account'.repeat(20) } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  });

if (process.send && process.argv[1] === fileURLToPath(import.meta.url))
  process.once('message', (start: Start) => serve(start));

function serve({ names, tls }: Start): void {
  // It lives no longer than what measures it, also when that fails.
  process.once('disconnect', () => process.exit());
  const objects = new Map<string, unknown>();
  let revision = 0;
  const keep = (collection: string, { stringData, ...object }: KubeObject): unknown => {
    revision += 1;
    const kept = {
      ...object,
      ...(stringData && { data: encoded(stringData) }),
      metadata: {
        ...object.metadata,
        uid: randomUUID(),
        resourceVersion: String(revision),
        creationTimestamp: new Date().toISOString(),
        managedFields: managed,
      },
    };
    objects.set(`${collection}/${object.metadata?.name}`, kept);
    return kept;
  };
  for (let index = 0; index < names; index += 1) fill(keep, index);
  const server = createServer({ ...tls, keepAlive: true }, (request, response) => {
    answer({ objects, keep }, request, response).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
}

type Keep = (collection: string, object: KubeObject) => unknown;

/** What the API server adds to each object for its client's name and fields. */
const managed = [
  { manager: 'k3s-daas', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': {} } },
];

const encoded = (data: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));

function fill(keep: Keep, index: number): void {
  const name = `worker-${index}`;
  const vouch = { nodeId: name, fingerprint: index.toString(16).padStart(64, '0'), notAfterMs: 0 };
  const vouches = [{ ...vouch, identity: 'kubelet' as const }];
  const role = roleOfName({ name, listing: 'basic', vouches, isContested: false });
  const binding = bindingOfName(name);
  const namespace = `${rbac}/namespaces/${role.metadata?.namespace}`;
  keep(`${namespace}/roles`, role as KubeObject);
  keep(`${namespace}/rolebindings`, binding as KubeObject);
  keep(`/api/v1/namespaces/${SYSTEM_NAMESPACE}/secrets`, {
    metadata: { name: passwordSecretName(name), labels: secretMarks(name, id('b1')) },
    type: NODE_PASSWORD_TYPE,
    immutable: true,
    stringData: { hash: 'hash' },
  } as KubeObject);
}

async function answer(
  { objects, keep }: { readonly objects: Map<string, unknown>; readonly keep: Keep },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { method = '' } = request;
  const path = (request.url ?? '').split('?')[0] ?? '';
  const say = (status: number, object: unknown) => {
    const text = JSON.stringify(object);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, headers).end(text);
  };
  if (path === '/version') return say(200, { major: '1', minor: '36', gitVersion: 'v1.36.2' });
  const sent = () => JSON.parse(Buffer.concat(chunks).toString('utf8')) as KubeObject;
  if (method === 'POST') return say(201, keep(path, sent()));
  const found = objects.get(path);
  if (!found) return say(404, missing(path));
  if (method === 'PUT') return say(200, keep(path.slice(0, path.lastIndexOf('/')), sent()));
  if (method === 'DELETE') objects.delete(path);
  return say(200, found);
}

const missing = (path: string) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: `"${path.split('/').at(-1)}" not found`,
  reason: 'NotFound',
  details: { name: path.split('/').at(-1) },
  code: 404,
});
