import { dirname } from 'node:path';
import { ConfigurationError } from '#base';
import type { MachineFacts, ServiceManager } from './facts.ts';
import {
  damaged,
  formatRecord,
  type InstallRecord,
  RECORD_DIR,
  type Role,
  recordPath,
  withReplaced,
} from './record.ts';
import type { RunStep, Step, WriteStep } from './steps.ts';

/** systemd and OpenRC in the same words. */
export interface Service {
  readonly reload: readonly Step[];
  enable(): Step;
  disable(): Step;
  start(deadlineMs: number, why: string): Step;
  /** Plain k3s: whether its Node becomes Ready again is the operator's to decide, too. */
  startPlain(): RunStep;
  /** The same at once: the service manager goes on by itself. */
  restartPlain(): RunStep;
  stop(why: string): Step;
}

const shortMs = 30_000;
/** A host may take 90 s to stop. */
const stopMs = 120_000;
const plainMs = 60_000;
const plainWhy = 'plain k3s adopts the pods; returns when its Node is Ready, within a minute';

const restartWhy = 'plain k3s takes the pods over';

export function serviceOf(manager: ServiceManager['kind'], unit: string): Service {
  const run = (argv: RunStep['argv'], why: string, deadlineMs = shortMs): RunStep => ({
    kind: 'run',
    argv,
    why,
    deadlineMs,
  });
  if (manager === 'systemd')
    return {
      reload: [run(['systemctl', 'daemon-reload'], 'systemd reads the units again')],
      enable: () => run(['systemctl', 'enable', unit], 'start it at boot'),
      disable: () => ({ ...run(['systemctl', 'disable', unit], 'not at boot any more'), mayFail: true }),
      start: (deadlineMs, why) => run(['systemctl', 'restart', unit], why, deadlineMs),
      startPlain: () => ({ ...run(['systemctl', 'restart', unit], plainWhy, plainMs), mayFail: true }),
      restartPlain: () => run(['systemctl', 'restart', '--no-block', unit], restartWhy),
      stop: (why) => run(['systemctl', 'stop', unit], why, stopMs),
    };
  return {
    reload: [],
    enable: () => run(['rc-update', 'add', unit, 'default'], 'start it at boot'),
    disable: () => ({ ...run(['rc-update', 'del', unit, 'default'], 'not at boot any more'), mayFail: true }),
    start: (deadlineMs, why) => run(['rc-service', unit, 'restart'], why, deadlineMs),
    startPlain: () => ({ ...run(['rc-service', unit, 'restart'], plainWhy, plainMs), mayFail: true }),
    restartPlain: () => run(['rc-service', unit, 'restart'], restartWhy, plainMs),
    stop: (why) => run(['rc-service', unit, 'stop'], why, stopMs),
  };
}

/** A file as a plan wants it. */
export type Wanted = Omit<WriteStep, 'kind' | 'before'>;

/** Those that are not there in this form. */
export function changes(facts: MachineFacts, wanted: readonly Wanted[]): readonly WriteStep[] {
  return wanted.flatMap((file) => {
    const before = facts.files.get(file.path);
    if (before?.text === file.content && before.mode === file.mode) return [];
    return [{ kind: 'write', ...file, before: before?.text } satisfies WriteStep];
  });
}

/**
 * k3s shows the certificate that it has, gets 401 when its Node is gone, and never comes to its token; without a certificate it
 * joins by the token and the node's password.
 */
export function forgetCertificate({ dataDir }: Pick<MachineFacts, 'dataDir'>): readonly Step[] {
  return ['crt', 'key'].map((kind) => ({
    kind: 'remove',
    path: `${dataDir}/agent/client-kubelet.${kind}`,
    why: 'k3s joins by its token again, and makes another',
  }));
}

export interface Kept {
  readonly record: InstallRecord;
  /** Copies first, then the record that names them: whatever comes after can be undone. */
  readonly steps: readonly Step[];
  /** The last of the plan: nothing is pending any more. */
  readonly end: readonly Step[];
}

/** Keeps what the writes replace, once, and notes what is begun with `pending`. */
export function keepReplaced(
  facts: MachineFacts,
  role: Role,
  paths: readonly string[],
  takenOver: InstallRecord['takenOver'],
  pending: InstallRecord['pending'],
): Kept {
  const before: InstallRecord = facts.record ?? { version: 1, role, replaced: [], takenOver, pending };
  const record = paths.reduce((so, path) => withReplaced(so, path, facts.files.get(path)), {
    ...before,
    takenOver: before.takenOver ?? takenOver,
    pending,
  });
  const added = record.replaced.slice(before.replaced.length);
  const content = formatRecord(record);
  const done = formatRecord({ ...record, pending: null });
  const writing = { kind: 'write', path: recordPath(role), mode: 0o600 } as const;
  const end: Step[] =
    pending === null
      ? []
      : [{ ...writing, content: done, why: 'the installation is whole', before: content }];
  if (facts.record && content === formatRecord(facts.record)) return { record, steps: [], end };
  return {
    record,
    end,
    steps: [
      { kind: 'directory', path: RECORD_DIR, mode: 0o700, why: 'what is replaced is kept here' },
      ...added.flatMap(({ path, copy }): Step[] =>
        copy === null ? [] : [{ kind: 'keep', path, copy, why: 'for the way back' }],
      ),
      {
        ...writing,
        content,
        why: 'the list of what is replaced',
        before: facts.record && formatRecord(facts.record),
      },
    ],
  };
}

/** Directories of files that are not there yet. */
export function directoriesFor(writes: readonly WriteStep[]): readonly Step[] {
  const made = new Set(writes.map(({ path }) => dirname(path)).filter((path) => path.endsWith('.service.d')));
  return [...made].map((path) => ({ kind: 'directory', path, mode: 0o755, why: 'for drop-ins of the unit' }));
}

/** Puts back what the record has kept, and removes what was not there before. Throws `DAAS_INSTALL_RECORD_DAMAGED`. */
export function putBack(
  facts: MachineFacts,
  { replaced }: InstallRecord,
  choose: (path: string) => boolean = () => true,
): readonly Step[] {
  const noted = new Set(facts.record?.replaced.map(({ path }) => path));
  return replaced
    .filter(({ path }) => choose(path))
    .map(({ path, copy, mode, uid, gid }): Step => {
      if (copy === null) return { kind: 'remove', path, why: 'it was not there before' };
      // Of a path that the plan itself adds, the machine still has the file; of any other it may have ours.
      const kept = noted.has(path) ? facts.copies.get(copy) : facts.files.get(path)?.text;
      if (kept === undefined) throw damaged(copy, 'it is missing');
      return {
        kind: 'write',
        path,
        content: kept,
        mode,
        owner: { uid, gid },
        why: 'as it was before',
        before: facts.files.get(path)?.text,
      };
    });
}

/** The record and its copies, which hold the old join token, when they are of no more use. */
export function forgetRecord({ role, replaced }: InstallRecord): readonly Step[] {
  const copies = replaced.flatMap(({ copy }) => copy ?? []);
  return [...copies, recordPath(role)].map((path) => ({ kind: 'remove', path, why: 'the way back is done' }));
}

/** Throws what keeps any plan from being carried out here. */
export function expectManaged(facts: MachineFacts): ServiceManager {
  if (facts.uid !== 0)
    throw new ConfigurationError(
      'DAAS_INSTALL_NOT_ROOT',
      `this changes the services of the machine and runs as uid ${facts.uid}: run it as root (sudo), or look with --dry-run`,
    );
  return expectManager(facts);
}

export function expectManager({ manager, notFiles }: MachineFacts): ServiceManager {
  // In the place of a link there would be a file afterwards, and the record could not bring the link back.
  for (const [path, what] of notFiles)
    throw new ConfigurationError(
      'DAAS_INSTALL_NOT_A_FILE',
      `${path} is ${what}, and belongs to what an installation replaces. Put the file itself there, or move it away`,
      { details: { path } },
    );
  if (manager) return manager;
  throw new ConfigurationError(
    'DAAS_INSTALL_NO_SERVICE_MANAGER',
    'neither systemd nor OpenRC is on this machine: run `k3s-daas agent` by the service manager that is (docs/getting-started.md has the units)',
  );
}
