import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';

export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: Kubernetes objects, read by tests that know what they asked for.
  readonly body: any;
}

export interface Identity {
  readonly server: string;
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  readonly bearer?: string;
  /** Sent with every request, such as those of impersonation. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An outsider's client of the Kubernetes API: plain HTTPS with an identity, nothing of ours. */
export class KubernetesApi implements Disposable {
  readonly identity: Identity;
  readonly #agent: Agent;
  constructor(identity: Identity) {
    this.identity = identity;
    this.#agent = new Agent({
      ca: identity.ca,
      keepAlive: true,
      ...(identity.cert && identity.key ? { cert: identity.cert, key: identity.key } : {}),
    });
  }

  static async fromKubeconfig(path: string): Promise<KubernetesApi> {
    const config = parse(await readFile(path, 'utf8')) as {
      clusters: Array<{ cluster: { server: string; 'certificate-authority-data': string } }>;
      users: Array<{
        user: { 'client-certificate-data'?: string; 'client-key-data'?: string; token?: string };
      }>;
    };
    const cluster = config.clusters[0]?.cluster;
    const user = config.users[0]?.user;
    if (!cluster || !user) throw new Error(`${path} names no cluster or no user`);
    const text = (base64: string) => Buffer.from(base64, 'base64').toString();
    return new KubernetesApi({
      server: cluster.server,
      ca: text(cluster['certificate-authority-data']),
      ...(user['client-certificate-data'] && user['client-key-data']
        ? { cert: text(user['client-certificate-data']), key: text(user['client-key-data']) }
        : {}),
      ...(user.token ? { bearer: user.token } : {}),
    });
  }

  send(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Reply> {
    const { server, bearer, headers } = this.identity;
    return new Promise((resolve, reject) => {
      const call = request(
        new URL(path, server),
        {
          method,
          agent: this.#agent,
          timeout: 15_000,
          headers: {
            accept: 'application/json',
            ...(body === undefined ? {} : { 'content-type': contentType }),
            ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            let parsed: unknown = text;
            try {
              parsed = JSON.parse(text);
            } catch {
              // Some answers are plain text.
            }
            resolve({ status: response.statusCode ?? 0, body: parsed });
          });
        },
      );
      call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer within 15 s`)));
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  get(path: string): Promise<Reply> {
    return this.send('GET', path);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** Asks again until the answer fits; for tests and demos that wait for the world, with a deadline and a reason. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  { withinMs = 60_000, everyMs = 100 } = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadlineMs)
      throw new Error(
        `waited ${withinMs} ms in vain for ${what}`,
        last === undefined ? undefined : { cause: last },
      );
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
