import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { suiteWorld } from '../suite-world.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import type { KeyPair } from './server/authority.ts';
import type { KubeObject } from './server/objects.ts';
import { send } from './server/worker.ts';

/** One caller of the API. */
export type Caller = (method: string, path: string, body?: unknown, contentType?: string) => Promise<Answer>;
export interface Answer {
  readonly status: number;
  readonly object: KubeObject & {
    readonly items?: KubeObject[];
    readonly reason?: string;
    readonly message?: string;
  };
}

export const merge = 'application/merge-patch+json';
export const strategic = 'application/strategic-merge-patch+json';
export const jsonPatch = 'application/json-patch+json';

export function callerOf(
  world: Pick<KubernetesWorld, 'url' | 'ca'>,
  client: KeyPair | undefined,
  headers: Record<string, string> = {},
): Caller {
  return async (method, path, body, contentType = 'application/json') => {
    const answer = await send({
      url: world.url + path,
      method,
      ca: world.ca,
      client,
      headers: { 'content-type': contentType, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: answer.status, object: parsed(answer.text) };
  };
}

function parsed(text: string): Answer['object'] {
  try {
    return JSON.parse(text) as Answer['object'];
  } catch {
    return { metadata: {}, message: text };
  }
}

/** Asks again until the answer is wanted; the last one is in the failure. */
export async function eventually<T>(
  what: string,
  withinMs: number,
  ask: () => Promise<T>,
  isWanted: (value: T) => boolean,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  let last = await ask();
  while (!isWanted(last)) {
    if (performance.now() > deadlineMs)
      throw new Error(`${what} did not happen within ${withinMs} ms; last seen: ${JSON.stringify(last)}`);
    await sleep(100);
    last = await ask();
  }
  return last;
}

export const uniqueName = (prefix: string) => `${prefix}-${randomBytes(3).toString('hex')}`;
export const systemSecrets = '/api/v1/namespaces/kube-system/secrets';
export const nodeBody = (name: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  ...more,
});
export const podBody = (name: string, nodeName: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: {
    nodeName,
    containers: [{ name: 'main', image: 'local/none' }],
    automountServiceAccountToken: false,
  },
});
export const readyStatus = (status: string) => ({
  status: {
    conditions: [
      {
        type: 'Ready',
        status,
        reason: 'KubeletReady',
        message: 'kubelet is posting ready status',
        lastHeartbeatTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
        lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      },
    ],
  },
});

/** The Kubernetes API of this project's world, open while the tests of a describe block run. */
export function useKubernetes() {
  let opened: KubernetesWorld | undefined;
  let administrator: Caller | undefined;
  beforeAll(async () => {
    opened = await suiteWorld.startKubernetes();
    administrator = callerOf(opened, await opened.clientCertificate('tester', ['system:masters']));
  });
  afterAll(() => opened?.[Symbol.asyncDispose]());
  const world = (): KubernetesWorld => {
    if (!opened) throw new Error('the world is not open yet');
    return opened;
  };
  const admin: Caller = (...call) => {
    if (!administrator) throw new Error('the world is not open yet');
    return administrator(...call);
  };
  return {
    world,
    /** With all rights. */
    admin,
    asNode: async (node: string) =>
      callerOf(world(), await world().clientCertificate(`system:node:${node}`, ['system:nodes'])),
    /** Waits: k3s holds a deleted Node for a moment. */
    gone: (path: string) =>
      eventually(
        `${path} to be gone`,
        5_000,
        () => admin('GET', path),
        ({ status }) => status === 404,
      ),
  };
}
