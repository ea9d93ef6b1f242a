import { type Agent, request } from 'node:https';
import { signLogin } from '#login';
import type { NodeKey } from '#seal';
import { newKey } from './fake-worker.fixture.ts';
import { CLUSTER_ID } from './ids.fixture.ts';
import type { World } from './world.fixture.ts';

/** Somebody with a stake and a kubectl. */
export class FakePerson {
  readonly world: World;
  readonly wallet: string;
  readonly key: NodeKey;
  recordId = '';
  tokenId = '';

  constructor(world: World, wallet: string, key: NodeKey = newKey()) {
    this.world = world;
    this.wallet = wallet;
    this.key = key;
  }

  stake({
    stakeMist = 100n,
    stakeType = 'user' as 'user' | 'admin' | 'node',
    permissions = ['pods:read', 'pods:write'],
  } = {}): this {
    const { chain } = this.world;
    const nodeId = stakeType === 'node' ? 'worker-9' : '';
    this.recordId = chain.addRecord({ nodeId, stakeType, stakeMist, staker: this.wallet });
    this.tokenId = chain.addToken(this.recordId, this.key.publicKey, { permissions });
    chain.report({ others: [this.recordId] });
    return this;
  }

  login(clusterId = CLUSTER_ID): string {
    const { wallet, tokenId: sealTokenId } = this;
    return signLogin({ wallet, clusterId, sealTokenId }, this.key.privateKey, this.world.clock.nowMs()).proof;
  }
}

export interface ReviewReply {
  readonly status: number;
  readonly apiVersion?: string;
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly user?: {
    readonly username: string;
    readonly uid: string;
    readonly groups: readonly string[];
    readonly extra: Readonly<Record<string, readonly string[]>>;
  };
}

/** The API server's question, as it sends it (measured on 1.36.2). */
export function reviewOf(token: string, version = 'v1'): string {
  return JSON.stringify({
    kind: 'TokenReview',
    apiVersion: `authentication.k8s.io/${version}`,
    metadata: {},
    spec: { token, audiences: ['https://kubernetes.default.svc.cluster.local', 'k3s'] },
    status: { user: {} },
  });
}

/** Posts a body as the API server does. */
export function post(
  port: number,
  body: string | Buffer,
  options: { readonly agent?: Agent; readonly cert?: string; readonly key?: string } = {},
): Promise<ReviewReply> {
  const { promise, resolve, reject } = Promise.withResolvers<ReviewReply>();
  const outgoing = request(
    {
      host: '127.0.0.1',
      port,
      method: 'POST',
      path: '/?timeout=30s',
      rejectUnauthorized: false,
      headers: { 'content-type': 'application/json' },
      ...options,
    },
    (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('end', () => {
        const json = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
          apiVersion: string;
          status: object;
        };
        resolve({ status: incoming.statusCode ?? 0, apiVersion: json.apiVersion, ...json.status });
      });
    },
  );
  outgoing.once('error', reject);
  outgoing.end(body);
  return promise;
}
