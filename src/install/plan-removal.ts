import { ConfigurationError } from '#base';
import { dropInPath, type MachineFacts, unitOf, unitPath } from './facts.ts';
import { removeHelp } from './help-files.ts';
import { expectManager, forgetCertificate, forgetRecord, putBack, serviceOf } from './plan-parts.ts';
import type { Role } from './record.ts';
import type { Plan, Step } from './steps.ts';
import { isOurs, unitCommand } from './unit-words.ts';
import { environmentFileOf } from './units.ts';

export interface RemovalRequest {
  readonly role: Role;
  /** Brings plain k3s back, as the installation found it. */
  readonly restoreK3s: boolean;
  /** Where install.sh has put the program; undefined: it came by npm, or stays. */
  readonly programFiles: readonly string[];
}

/** Takes our service off the machine. Configuration, keys and state stay: they are the way to the money. */
export function planRemoval(facts: MachineFacts, request: RemovalRequest): Plan {
  return request.restoreK3s ? planRestore(facts, request) : planPlainRemoval(facts, request);
}

function planRestore(facts: MachineFacts, { role }: RemovalRequest): Plan {
  const manager = expectManager(facts);
  const { record } = facts;
  if (role !== 'worker' || !record?.takenOver)
    throw new ConfigurationError(
      'DAAS_INSTALL_NOTHING_TO_RESTORE',
      'this installation has not taken the place of a plain k3s agent, so there is none to bring back. Leave --restore-k3s out',
    );
  const service = serviceOf(manager.kind, unitOf(role));
  const { wasActive, wasEnabled } = record.takenOver;
  return {
    steps: [
      ...(facts.isActive ? [service.stop('the host ends; its pods run on (KillMode=process)')] : []),
      ...putBack(facts, record),
      ...(manager.isRunning ? service.reload : []),
      ...(wasEnabled === facts.isEnabled ? [] : [wasEnabled ? service.enable() : service.disable()]),
      ...forgetCertificate(facts),
      ...(wasActive ? [service.restartPlain()] : forgetRecord(record)),
    ],
    undo: [],
    notes: [
      'the stake, if there is one, stays locked',
      ...(wasActive
        ? [
            'its Node is a staked one until the operator gives the name back (docs/install.md): this command waits for that, starts plain k3s for its own Node then, and pods run on',
          ]
        : []),
    ],
  };
}

/** What follows when plain k3s was started by `planRemoval`: its Node has to be its own. */
export interface PlainReturn {
  /** Removes a certificate that is of no use, and starts plain k3s once more. */
  readonly again: Plan;
  /** The way back is done. */
  readonly end: Plan;
}

/** Undefined when nothing was started. */
export function planReturn(facts: MachineFacts): PlainReturn | undefined {
  const { record, manager } = facts;
  if (!manager || !record?.takenOver?.wasActive) return undefined;
  const service = serviceOf(manager.kind, unitOf('worker'));
  return {
    again: { steps: [...forgetCertificate(facts), service.restartPlain()], undo: [], notes: [] },
    end: { steps: forgetRecord(record), undo: [], notes: [] },
  };
}

function planPlainRemoval(facts: MachineFacts, { role, programFiles }: RemovalRequest): Plan {
  const manager = expectManager(facts);
  const unit = unitOf(role);
  const service = serviceOf(manager.kind, unit);
  const path = unitPath(role, manager.kind);
  const own = [path, environmentFileOf(unit, manager.kind), dropInPath(role)];
  const text = facts.files.get(path)?.text;
  if (text !== undefined && !isOurs(unitCommand(text, manager.kind)))
    throw new ConfigurationError(
      'DAAS_INSTALL_NOT_OURS',
      `${path} is not a unit of this program: remove plain k3s by its own script (k3s-agent-uninstall.sh)`,
      { details: { path } },
    );
  const present = own.filter((one) => facts.files.has(one));
  const { record } = facts;
  const steps: Step[] = [
    ...(facts.isActive ? [service.stop('the host ends; its pods run on (KillMode=process)')] : []),
    ...(facts.isEnabled ? [service.disable()] : []),
    ...present.map((one): Step => ({ kind: 'remove', path: one, why: 'ours' })),
    // k3s' configuration is the operator's own; its unit is not wanted any more.
    ...(record ? putBack(facts, record, (one) => !own.includes(one)) : []),
    ...(manager.isRunning && present.length > 0 ? service.reload : []),
    ...(record ? forgetRecord(record) : []),
    ...removeHelp(facts),
    ...programFiles.map((one): Step => ({ kind: 'remove', path: one, why: 'the program itself' })),
  ];
  return { steps, undo: [], notes: notesOf(role) };
}

function notesOf(role: Role): readonly string[] {
  if (role === 'gateway')
    return ['/etc/k3s-daas and /var/lib/k3s-daas-gateway stay: bans, keys and the audit file are in them'];
  return [
    'pods run on until you end them (k3s-killall.sh, or a restart of the machine)',
    '/etc/k3s-daas and /var/lib/k3s-daas stay: the keys in them are the way to the stake',
    'the Node stays in the cluster until its operator removes it',
  ];
}
