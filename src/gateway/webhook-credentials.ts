import { createHash, timingSafeEqual } from 'node:crypto';
import { type Clock, forgetOldest, Secret } from '#base';
import { drawBootstrapToken, type KubernetesPort, type LiveJoinCredential } from '#domain';
import type { Audit } from './audit.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import { credentialOf, isAdmitted, type Worker } from './worker.ts';

/** Who joins with a credential. */
interface Joining {
  /** Of the credential: six characters, public. */
  readonly id: string;
  readonly nodeId: string;
  readonly recordId: string;
}

/** Join credentials that exist nowhere but in the gateway, which keeps their hashes with its workers. */
export interface WebhookCredentials {
  /** The same port, whose join credentials are these. Earlier ones, in Secrets, can still be revoked through it. */
  readonly kubernetes: KubernetesPort;
  /** Whose credential a bearer token is; `undefined`: none that counts. Each use is counted in the audit file. */
  joiningWith(token: string): Joining | undefined;
}

export interface WebhookCredentialsOptions {
  readonly kubernetes: KubernetesPort;
  readonly registry: Pick<Registry, 'workers' | 'onWorkerChange'>;
  readonly refusals: Pick<RefusalTally, 'count'>;
  /** Counts the uses, apart from refusals. */
  readonly uses: Pick<RefusalTally, 'count'>;
  readonly audit: Pick<Audit, 'recordLockOut'>;
  readonly clock: Clock;
}

interface CredentialsContext extends WebhookCredentialsOptions {
  /** By id, the workers whose credential has a hash: it is theirs until they lose it. */
  readonly holders: Map<string, Worker>;
  /** Revoked, and perhaps not written yet. */
  readonly revoked: Set<string>;
}

/** kubeadm's form: k3s sends nothing else as bearer token. */
const form = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const mostRevoked = 10_000;

export function createWebhookCredentials(options: WebhookCredentialsOptions): WebhookCredentials {
  const context: CredentialsContext = { ...options, holders: new Map(), revoked: new Set() };
  const { kubernetes, registry, holders } = context;
  for (const worker of registry.workers()) follow(holders, undefined, worker);
  registry.onWorkerChange((before, after) => {
    follow(holders, before, after);
    noteLoss(context, before, after);
  });
  const own: Pick<KubernetesPort, 'createJoinCredential' | 'revokeJoinCredential' | 'joinCredentials'> = {
    createJoinCredential: async ({ expiresAtMs }) => issue(expiresAtMs),
    revokeJoinCredential: async (id, signal) => {
      if (!holders.has(id)) return kubernetes.revokeJoinCredential(id, signal);
      revoke(context.revoked, id);
    },
    joinCredentials: async (signal) => [
      ...(await kubernetes.joinCredentials(signal)),
      ...[...holders].flatMap(([id, worker]) => liveOf(context, id, worker)),
    ],
  };
  return {
    kubernetes: overridden(kubernetes, own),
    joiningWith: (token) => joiningWith(context, token),
  };
}

/** An object with some of its methods replaced; the others stay methods of their own object. */
function overridden<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get(object, name): unknown {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name);
      const member: unknown = Reflect.get(object, name);
      return typeof member === 'function' ? member.bind(object) : member;
    },
  });
}

/** A worker's credential counts from the moment it is recorded with it to the moment it is not. */
function follow(holders: Map<string, Worker>, before: Worker | undefined, after: Worker | undefined): void {
  const earlier = before && credentialOf(before);
  if (earlier) holders.delete(earlier.id);
  const credential = after && credentialOf(after);
  if (after && credential?.secretHash !== undefined) holders.set(credential.id, after);
}

/** An eviction takes the credential by the decision alone: there is no Secret that is deleted later. */
function noteLoss(
  { audit, revoked }: CredentialsContext,
  before: Worker | undefined,
  after: Worker | undefined,
): void {
  const lost = before && credentialOf(before);
  if (lost?.secretHash === undefined || revoked.has(lost.id)) return;
  if (after && credentialOf(after)?.id === lost.id) return;
  revoke(revoked, lost.id);
  const reason = after && isAdmitted(after) ? 'replaced' : 'lost_with_worker';
  audit.recordLockOut('credential.revoked', { node_id: before?.nodeId, credential: lost.id, reason });
}

function issue(expiresAtMs: number) {
  const { id, secret } = drawBootstrapToken();
  return {
    id,
    credential: new Secret(`${id}.${secret}`),
    expiresAtMs,
    secretHash: hashOf(secret).toString('hex'),
  };
}

function revoke(revoked: Set<string>, id: string): void {
  revoked.add(id);
  forgetOldest(revoked, mostRevoked);
}

function liveOf({ revoked }: CredentialsContext, id: string, worker: Worker): LiveJoinCredential[] {
  const { nodeId, recordId } = worker;
  const expiresAtMs = credentialOf(worker)?.expiresAtMs ?? 0;
  return revoked.has(id) ? [] : [{ id, nodeId, recordId, expiresAtMs }];
}

function joiningWith(context: CredentialsContext, token: string): Joining | undefined {
  const { holders, revoked, refusals, uses, clock } = context;
  const [, id = '', secret = ''] = form.exec(token) ?? [];
  const worker = holders.get(id);
  const credential = worker && credentialOf(worker);
  if (!worker || !credential?.secretHash || !isSecret(secret, credential.secretHash)) {
    refusals.count('join_credential.refused', { reason: 'unknown' }, {});
    return undefined;
  }
  const { nodeId, recordId } = worker;
  const facts = { node_id: nodeId, stake_record: recordId, credential: id };
  if (revoked.has(id) || credential.expiresAtMs <= clock.nowMs()) {
    const reason = revoked.has(id) ? 'revoked' : 'expired';
    refusals.count('join_credential.refused', { reason, nodeId }, facts);
    return undefined;
  }
  uses.count('join_credential.used', { reason: 'live', nodeId }, facts);
  return { id, nodeId, recordId };
}

/** Whether a bearer token has the form of a join credential. */
export const isJoinCredential = (token: string): boolean => form.test(token);

/** The secret is drawn from 36^16 values: its hash needs no salt. */
const hashOf = (secret: string) => createHash('sha256').update(secret).digest();
const isSecret = (secret: string, hash: string) => timingSafeEqual(hashOf(secret), Buffer.from(hash, 'hex'));
