import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostPort, messageOf } from '#base';
import { type HostStatus, readLatch } from '#host';
import { isAlive, parseProcessIdentity, readJournal } from '#infrastructure';
import { type Loaded, nodeIdOf } from './settings.ts';

/** A status as it comes over HTTP: amounts and epochs are text. */
export type ShownStatus = Omit<HostStatus, 'stake' | 'token'> & {
  readonly stake?: { readonly recordId: string; readonly stakeMist: string } | undefined;
  readonly token?:
    | { readonly tokenId: string; readonly expiresAtEpoch?: string; readonly epoch?: string }
    | undefined;
};

/** What the files of a host say when it does not answer. */
export interface OfflineStatus {
  readonly nodeId: string;
  readonly stateDir: string;
  readonly healthUrl: string;
  /** Why nothing answered there. */
  readonly problem: string;
  /** The process that holds the state directory, if it lives. */
  readonly pid: number | undefined;
  /** k3s that runs without its host, or with one that does not answer. */
  readonly agentPid: number | undefined;
  readonly recordId: string | undefined;
  readonly latch: string | undefined;
}

export type WorkerStatus =
  | { readonly running: true; readonly status: ShownStatus }
  | { readonly running: false; readonly offline: OfflineStatus };

const patienceMs = 5_000;

/** Asks the host of this machine; when it does not answer, reads what it has left. Changes nothing. */
export async function readWorkerStatus(settings: Loaded): Promise<WorkerStatus> {
  const { stateDir, health } = settings.value;
  const journal = await readJournal(join(stateDir, 'journal.json'));
  const remembered = journal.read('host/healthUrl');
  const configured = `http://${hostPort(health.host, health.port)}`;
  const healthUrl = health.port === 0 && typeof remembered === 'string' ? remembered : configured;
  const nodeId = nodeIdOf(settings);
  try {
    const response = await fetch(`${healthUrl}/status`, { signal: AbortSignal.timeout(patienceMs) });
    const status = (await response.json()) as ShownStatus;
    // Another program may listen there, or the host of another node.
    if (response.ok && status.nodeId === nodeId) return { running: true, status };
    throw new Error(`what answers there is not the host of ${nodeId}`);
  } catch (error) {
    const joined = journal.read('host/joined') as { recordId?: string } | undefined;
    return {
      running: false,
      offline: {
        nodeId,
        stateDir,
        healthUrl,
        problem: messageOf(error),
        pid: await livePid(await lockText(stateDir)),
        agentPid: await livePid(journal.read('agent/child')),
        recordId: joined?.recordId,
        latch: (await readLatch(stateDir))?.detail,
      },
    };
  }
}

async function lockText(stateDir: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(join(stateDir, 'host.lock'), 'utf8'));
  } catch {
    return undefined;
  }
}

async function livePid(value: unknown): Promise<number | undefined> {
  const identity = parseProcessIdentity(value);
  return identity && (await isAlive(identity)) ? identity.pid : undefined;
}
