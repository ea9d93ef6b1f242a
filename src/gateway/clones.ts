import { type Clock, forgetOldest, type Log } from '#base';
import type { KubernetesNode } from '#domain';
import type { Machine, ParsedProof } from '#seal';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import type { Registry } from './registry.ts';
import type { Worker } from './worker.ts';

/** Clocks of hosts are learned to half a round trip: on one boot a proof is newer only beyond this. */
const leewayMs = 2_000;
/** The machine of a registration without one, after another that had one: its heartbeats are told from those of the other. */
export const unsaidMachine: Machine = { machineId: undefined, bootId: 'unsaid', runId: 'unsaid' };
/** Registrations of a node that are remembered, to know a process that comes back. */
const mostRemembered = 4;
const mostNodes = 20_000;

/** Two machines, or two processes, that use the key of one node at the same time. */
export interface Clone {
  readonly sinceMs: number;
  /** Whose heartbeats count, whichever registered last. */
  readonly served: Served;
  /** The one that does not. */
  readonly other: Machine;
}

interface Served {
  readonly incarnation: number;
  readonly registeredAtMs: number;
  readonly machine: Machine;
  /** Its registration showed the kubelet's key: nothing less takes its place. */
  readonly hasKubelet: boolean;
}

export interface ClonesOptions {
  readonly registry: Registry;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the watch; undefined before the first list. */
  readonly node: (nodeId: string) => KubernetesNode | undefined;
  readonly heartbeatIntervalMs: number;
}

/** An applicant of a known node, as far as clones are concerned. */
export interface CloneCase {
  readonly worker: Worker;
  readonly machine: Machine | undefined;
  readonly node: KubernetesNode | undefined;
  /** The API server hears the kubelet of the Node. */
  readonly isHeard: boolean;
  /** The applicant has the key of a kubelet certificate that the stake vouches for. */
  readonly hasKubelet: boolean;
}

interface Contenders {
  readonly newer: Served;
  readonly older: Served;
}

/** What an applicant is to the clone of its node: `undefined` when there is none. */
type Standing = Clone | undefined;

/**
 * Finds clones, and decides which of two is served: the one whose boot id is that of the Ready Node, which is its kubelet's word and
 * no thief's of a node key. While a clone is known, nothing that the node key alone proves brings a join credential; a signature of
 * the kubelet's client key, which the thief of a node key does not have either, lets the node in at once.
 */
export class Clones {
  readonly #options: ClonesOptions;
  /** The last registrations of each node, the newest last. */
  readonly #seen = new Map<string, readonly Machine[]>();
  /** When another machine first tried to register while the Node was Ready elsewhere. */
  readonly #rivals = new Map<string, { readonly runId: string; readonly atMs: number }>();

  constructor(options: ClonesOptions) {
    this.#options = options;
  }

  /**
   * The worker as the sender of a heartbeat is to see it: with the incarnation that is served.
   * @throws `ApiProblem` node_cloned for a sender that is not served.
   */
  examineHeartbeat(worker: Worker, proof: ParsedProof): Worker | Promise<Worker> {
    if (worker.clone) return this.#expectServed(worker, worker.clone, proof);
    const contenders = this.#contendersOf(worker, proof);
    return contenders ? this.#settle(worker, contenders, proof) : worker;
  }

  async #settle(worker: Worker, contenders: Contenders, proof: ParsedProof): Promise<Worker> {
    const clone = await this.#prove(worker, contenders);
    return this.#expectServed({ ...worker, clone }, clone, proof);
  }

  /**
   * Judges a registration before anything is done for it.
   * @throws `ApiProblem` node_cloned, or node_in_use while it is not known yet whether the other machine lives.
   */
  async examineRegistration(found: CloneCase): Promise<Standing> {
    const { worker, machine } = found;
    if (worker.clone) return this.#examineFrozen(found, worker.clone);
    if (!machine || !worker.machine) return undefined;
    if (this.#isElsewhere(found)) return this.#refuseRival(worker, worker.machine, machine);
    if (!this.#cameBack(worker, machine)) return undefined;
    const served = servedOf(worker, worker.machine);
    const comer = {
      incarnation: worker.incarnation + 1,
      registeredAtMs: this.#nowMs,
      machine,
      hasKubelet: false,
    };
    const clone = await this.#prove(worker, { newer: served, older: comer });
    if (clone.served !== comer) throw cloned(worker.nodeId);
    return clone;
  }

  /** A registration was accepted. */
  registered(nodeId: string, machine: Machine | undefined): void {
    if (!machine) return;
    if (this.#rivals.get(nodeId)?.runId === machine.runId) this.#rivals.delete(nodeId);
    const before = (this.#seen.get(nodeId) ?? []).filter(({ runId }) => runId !== machine.runId);
    this.#seen.delete(nodeId);
    this.#seen.set(nodeId, [...before, machine].slice(-mostRemembered));
    forgetOldest(this.#seen, mostNodes);
  }

  get #nowMs(): number {
    return this.#options.clock.nowMs();
  }

  /** The proof of an older incarnation, made after the newer registration by another process: both live. */
  #contendersOf(worker: Worker, proof: ParsedProof): Contenders | undefined {
    const { incarnation, registeredAtMs, machine } = worker;
    const older = proof.machine;
    if (!older || !machine || proof.incarnation === undefined || proof.incarnation >= incarnation)
      return undefined;
    if (older.runId === machine.runId) return undefined;
    const sinceMs = proof.issuedAtMs - registeredAtMs;
    if (sinceMs <= (older.bootId === machine.bootId ? leewayMs : 0)) return undefined;
    return {
      newer: servedOf(worker, machine),
      // Its own time, so that its sequence is not taken for that of the newer one.
      older: {
        incarnation: proof.incarnation,
        registeredAtMs: registeredAtMs - 1,
        machine: older,
        hasKubelet: false,
      },
    };
  }

  /** Another process has registered since this one did, and this one is back. */
  #cameBack({ nodeId, machine: current }: Worker, { runId }: Machine): boolean {
    if (current?.runId === runId) return false;
    return (this.#seen.get(nodeId) ?? []).some((machine) => machine.runId === runId);
  }

  #isElsewhere({ worker, machine, node, isHeard }: CloneCase): boolean {
    if (!isHeard || !node?.isReady || node.bootId === undefined) return false;
    const { machineId } = worker.machine ?? {};
    const isOther =
      machineId !== undefined && machine?.machineId !== undefined && machineId !== machine.machineId;
    return isOther && node.bootId !== machine?.bootId;
  }

  /** The process that is served may have ended for this one. A heartbeat of it after the attempt shows that it has not. */
  #refuseWhileHeard(worker: Worker, machine: Machine): never {
    if (this.#isHeardSinceAttempt(worker, machine)) throw cloned(worker.nodeId);
    throw inUse(worker.nodeId, this.#retryAfterMs(worker));
  }

  #isHeardSinceAttempt(worker: Worker, { runId }: Machine): boolean {
    const { nodeId } = worker;
    const known = this.#rivals.get(nodeId);
    const rival = known?.runId === runId ? known : { runId, atMs: this.#nowMs };
    this.#rivals.set(nodeId, rival);
    forgetOldest(this.#rivals, mostNodes);
    return this.#heardAtMs(worker) > rival.atMs;
  }

  /**
   * When an applicant learns more: after the next heartbeat of the process that is served, and before the one after that, so that both
   * are told within two.
   */
  #retryAfterMs(worker: Worker): number {
    const { heartbeatIntervalMs: intervalMs } = this.#options;
    const dueInMs = this.#heardAtMs(worker) + intervalMs - this.#nowMs;
    // One that is long overdue may be gone: whether it is shows when its Node is silent.
    return dueInMs < -intervalMs / 2 ? intervalMs : Math.max(0, dueInMs) + intervalMs / 4;
  }

  /** The last heartbeat of the process that is served, or its registration. */
  #heardAtMs({ nodeId, registeredAtMs, clone }: Worker): number {
    const { lastHeartbeatMs = 0 } = this.#options.registry.lastHeartbeat(nodeId) ?? {};
    return Math.max(lastHeartbeatMs, clone ? clone.served.registeredAtMs : registeredAtMs);
  }

  /** The first machine may have been switched off for this one. */
  async #refuseRival(worker: Worker, first: Machine, machine: Machine): Promise<never> {
    const { nodeId } = worker;
    if (!this.#isHeardSinceAttempt(worker, machine)) throw inUse(nodeId, this.#retryAfterMs(worker));
    const other = { incarnation: worker.incarnation + 1, registeredAtMs: this.#nowMs, machine };
    await this.#save(worker, { served: servedOf(worker, first), other: other.machine });
    throw cloned(nodeId);
  }

  async #examineFrozen(found: CloneCase, clone: Clone): Promise<Clone> {
    const { worker, machine, node, isHeard, hasKubelet } = found;
    const { served } = clone;
    // Its kubelet is the one thing that the holder of a stolen node key does not have.
    if (!machine || !(isHeard || hasKubelet)) throw cloned(worker.nodeId);
    if (machine.runId === served.machine.runId) return clone;
    // The boot of the Node is public, and for a while after a reboot still the one before: a thief can say that.
    if (served.hasKubelet && !hasKubelet) throw cloned(worker.nodeId);
    const bootId = isHeard && node?.isReady ? node.bootId : undefined;
    if (bootId !== machine.bootId) return this.#examineKubelet(found, { clone, machine, bootId });
    // After a reboot the kubelet comes back on its certificate, before any registration.
    if (machine.bootId === served.machine.bootId && !this.#isSilent(worker))
      this.#refuseWhileHeard(worker, machine);
    return clone;
  }

  /** One that the Ready Node does not speak for. `bootId` is that of the Ready Node, if there is one. */
  #examineKubelet(
    { worker, hasKubelet }: CloneCase,
    {
      clone,
      machine,
      bootId,
    }: { readonly clone: Clone; readonly machine: Machine; readonly bootId?: string | undefined },
  ): Clone {
    const { served } = clone;
    // Between copies of a whole disk, which all have the kubelet's key, the Ready Node decides.
    const isCopy = served.hasKubelet === true && this.#cameBack(worker, machine);
    if (!hasKubelet || isCopy) throw cloned(worker.nodeId);
    const isReboot = machine.machineId !== undefined && machine.machineId === served.machine.machineId;
    const runsElsewhere = bootId !== undefined && bootId === served.machine.bootId && !isReboot;
    if (runsElsewhere && !this.#isSilent(worker)) this.#refuseWhileHeard(worker, machine);
    return clone;
  }

  #isSilent(worker: Worker): boolean {
    return this.#nowMs - this.#heardAtMs(worker) > 3 * this.#options.heartbeatIntervalMs;
  }

  #expectServed(worker: Worker, { served }: Clone, proof: ParsedProof): Worker {
    const isServed =
      proof.incarnation === served.incarnation && proof.machine?.runId === served.machine.runId;
    if (!isServed) throw cloned(worker.nodeId);
    return { ...worker, incarnation: served.incarnation, registeredAtMs: served.registeredAtMs };
  }

  #prove(worker: Worker, { newer, older }: Contenders): Promise<Clone> {
    const node = this.#options.node(worker.nodeId);
    const bootId = node?.isReady ? node.bootId : undefined;
    const isNewers =
      bootId !== undefined && newer.machine.bootId === bootId && older.machine.bootId !== bootId;
    const served = isNewers ? newer : older;
    const other = (isNewers ? older : newer).machine;
    return this.#save(worker, { served, other });
  }

  async #save(worker: Worker, pair: Pick<Clone, 'served' | 'other'>): Promise<Clone> {
    const { registry, audit, log } = this.#options;
    const { nodeId } = worker;
    const clone = { sinceMs: this.#nowMs, ...pair };
    audit.recordLockOut('node.cloned', {
      node_id: nodeId,
      served_boot: pair.served.machine.bootId,
      other_boot: pair.other.bootId,
    });
    const current = registry.worker(nodeId) ?? worker;
    await registry.decide({ worker: { ...current, clone } });
    log.warn('Two machines use one node key: its registrations are frozen', { event: 'node.cloned', nodeId });
    return clone;
  }
}

function servedOf({ incarnation, registeredAtMs }: Worker, machine: Machine): Served {
  return { incarnation, registeredAtMs, machine, hasKubelet: false };
}

export function inUse(nodeId: string, retryAfterMs: number): ApiProblem {
  return new ApiProblem(
    'node_in_use',
    `the Node ${nodeId} is Ready with another machine or process that uses its key: stop that one, or wait until it is gone`,
    { retryAfterMs },
  );
}

export function cloned(nodeId: string): ApiProblem {
  return new ApiProblem(
    'node_cloned',
    `another machine or process uses the key of node ${nodeId}, and is the one that runs its Node: registrations are frozen until its Seal token is rotated or the operator unlocks the node`,
  );
}
