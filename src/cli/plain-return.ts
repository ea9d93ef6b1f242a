import { nodeReadiness, readOwnNode } from '#agent';
import { type Clock, DaasError, EXIT, messageOf } from '#base';
import { NODE_MARK } from '#cluster';
import { carryOut, type Machine, type PlainReturn } from '#install';
import type { Io } from './io.ts';

/** What the certificate that plain k3s has got says of its Node. */
export type PlainNode =
  /** There is no certificate yet, or the API server does not answer. */
  | { readonly kind: 'unknown'; readonly detail: string }
  /** The Node is gone, or the certificate is not accepted: k3s never comes to its token with it. */
  | { readonly kind: 'refused' }
  /** It is the staked Node still. */
  | { readonly kind: 'staked' }
  | { readonly kind: 'waiting'; readonly detail: string }
  | { readonly kind: 'ready' };

/** Judges the reply to a reading of the Node. */
export function plainNodeOf({ status, body }: { readonly status: number; readonly body: string }): PlainNode {
  if ([401, 403, 404].includes(status)) return { kind: 'refused' };
  if (status !== 200) return { kind: 'unknown', detail: `the API server answers ${status}` };
  const node = JSON.parse(body) as { metadata?: { labels?: Readonly<Record<string, string>> } };
  if (node.metadata?.labels?.[NODE_MARK] !== undefined) return { kind: 'staked' };
  const readiness = nodeReadiness(node);
  return readiness.isReady ? { kind: 'ready' } : { kind: 'waiting', detail: readiness.detail };
}

export interface Returning {
  readonly machine: Machine;
  readonly plans: PlainReturn;
  readonly look: () => Promise<PlainNode>;
  readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>;
  readonly waitMs: number;
  readonly nodeName: string;
}

/** Kubernetes keeps the pods of a Node that is gone for 40 seconds: looks are frequent. */
const lookMs = 1_000;
/** A start comes to its Node within this time, where it can. */
const startMs = 15_000;

/**
 * Waits until plain k3s has a Node of its own. A kubelet makes its Node when it starts, and at no other time: as soon as the staked
 * one is gone, the certificate is taken away and plain k3s is started once more. Throws `DAAS_INSTALL_PLAIN_WAITING` at the deadline;
 * the same command goes on where it stopped.
 */
export async function untilPlainNode(io: Io, returning: Returning): Promise<void> {
  const { machine, plans, look, clock, waitMs, nodeName } = returning;
  const deadlineMs = clock.monotonicMs() + waitMs;
  let startedAtMs = Number.NEGATIVE_INFINITY;
  let said = '';
  for (;;) {
    const node = await look();
    if (node.kind === 'ready') break;
    const nowMs = clock.monotonicMs();
    if (nowMs >= deadlineMs) throw stillWaiting(nodeName, node);
    if (node.kind !== said && node.kind === 'staked')
      io.note(`${nodeName} is a staked Node still: its operator gives the name back now (docs/install.md)`);
    said = node.kind;
    if (node.kind === 'refused' && nowMs - startedAtMs >= startMs) {
      await carryOut(machine, plans.again);
      io.step('plain k3s was started for a Node of its own');
      startedAtMs = nowMs;
    }
    await clock.sleep(lookMs);
  }
  await carryOut(machine, plans.end);
  io.step(`plain k3s is back, and the Node ${nodeName} is Ready`);
}

/** Looks by the certificate that k3s has. */
export async function lookAtPlainNode(dataDir: string, nodeName: string): Promise<PlainNode> {
  try {
    const reply = await readOwnNode({ dataDir, nodeId: nodeName }, AbortSignal.timeout(5_000));
    return plainNodeOf(reply);
  } catch (error) {
    return { kind: 'unknown', detail: messageOf(error) };
  }
}

function stillWaiting(nodeName: string, node: PlainNode): DaasError {
  const why =
    node.kind === 'staked'
      ? 'it is a staked Node still: the operator has to give the name back'
      : node.kind === 'refused'
        ? 'the cluster refuses it: the operator has to open the name for it'
        : `its Node is not Ready (${'detail' in node ? node.detail : node.kind})`;
  return new DaasError(
    'DAAS_INSTALL_PLAIN_WAITING',
    `plain k3s is back on this machine and waits for its Node ${nodeName}: ${why} (docs/install.md, "Roll back to plain k3s"). Run \`k3s-daas uninstall --restore-k3s\` again then`,
    { exitCode: EXIT.joinDeadline, details: { nodeName, node: node.kind } },
  );
}
