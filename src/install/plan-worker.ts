import { join } from 'node:path';
import { ConfigurationError } from '#base';
import { formatEnvironmentFile, parseEnvironmentFile, serviceVariables } from './environment-file.ts';
import { dropInPath, k3sTools, type MachineFacts, type ServiceManager, unitPath } from './facts.ts';
import { type HelpTexts, helpSteps } from './help-files.ts';
import { type K3sSource, k3sDownload } from './k3s-release.ts';
import { carryFlags, cleanK3sConfig } from './k3s-setup.ts';
import { type KeyFile, type KeyMode, keySteps } from './keys.ts';
import {
  changes,
  directoriesFor,
  expectManager,
  forgetCertificate,
  forgetRecord,
  keepReplaced,
  putBack,
  serviceOf,
  type Wanted,
} from './plan-parts.ts';
import type { InstallRecord } from './record.ts';
import type { Plan, RunStep, Step, UndoStep } from './steps.ts';
import { isOurs, unitCommand } from './unit-words.ts';
import { environmentFileOf, WORKER_UNIT, workerOpenrc, workerUnit } from './units.ts';

export interface WorkerRequest {
  /** Path of the launcher that the unit runs. */
  readonly program: string;
  /** Flags of `k3s agent`; undefined: those of the unit that is there. */
  readonly flags: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The node id by the settings, if they name one. */
  readonly nodeId: string | undefined;
  /** undefined: as it is. */
  readonly keyMode: KeyMode | undefined;
  readonly walletKeyFile: string | undefined;
  readonly k3s: K3sSource;
  readonly help: HelpTexts;
  readonly skipStart: boolean;
  readonly skipEnable: boolean;
  readonly startDeadlineMs: number;
}

/**
 * What makes this machine a worker: fresh, again, or in the place of a running plain k3s agent, whose pods live on. The same
 * request on the machine that it has made gives no steps. Throws what forbids it.
 */
export function planWorker(facts: MachineFacts, request: WorkerRequest): Plan {
  const manager = expectManager(facts);
  refuseServer(facts);
  const found = setupOf(facts, manager);
  if (found.isForeign) refuseOtherName(facts, request);
  const wanted = wantedFiles(facts, request, manager, found);
  const writes = changes(facts, wanted.files);
  const takenOver = found.isForeign ? { wasActive: facts.isActive, wasEnabled: facts.isEnabled } : null;
  const k3s = k3sSteps(facts, request);
  const isChanged = writes.length + k3s.length + wanted.keys.steps.length > 0;
  const pending = pendingOf(facts, found, isChanged);
  const kept = keepReplaced(
    facts,
    'worker',
    writes.map(({ path }) => path),
    takenOver,
    pending,
  );
  const service = serviceOf(manager.kind, WORKER_UNIT);
  const isUnit = (path: string) => path === unitPath('worker', manager.kind);
  const stop =
    found.isForeign && facts.isActive
      ? service.stop('plain k3s makes room; its pods run on (KillMode=process)')
      : undefined;
  const enable = request.skipEnable || facts.isEnabled ? undefined : service.enable();
  const start = startStep(facts, request, service, pending !== null);
  const steps: Step[] = [
    ...k3s,
    ...kept.steps,
    ...directoriesFor(writes),
    ...wanted.keys.steps,
    ...writes.filter(({ path }) => !isUnit(path)),
    ...(pending !== null && !request.skipStart ? [rehearsal(request, wanted)] : []),
    ...(stop ? [stop] : []),
    ...writes.filter(({ path }) => isUnit(path)),
    ...(pending !== null && manager.isRunning ? service.reload : []),
    ...(enable ? [enable] : []),
    ...(start ? [start] : []),
    ...kept.end,
    ...helpSteps(facts, request.help),
  ];
  const undo =
    pending === 'take-over' ? wayBack(facts, manager, kept.record, { found, stop, enable, start }) : [];
  return { steps, undo, notes: notesOf(facts, request, found, wanted.dropped) };
}

/** What an earlier run began is still to be ended, also where every file is in place. */
function pendingOf(
  { record }: MachineFacts,
  { isForeign }: FoundSetup,
  isChanged: boolean,
): InstallRecord['pending'] {
  const before = record?.pending ?? null;
  if (isForeign || before === 'take-over') return 'take-over';
  return isChanged ? 'change' : before;
}

interface ServiceSteps {
  readonly found: FoundSetup;
  /** Stops plain k3s. */
  readonly stop: Step | undefined;
  readonly enable: Step | undefined;
  readonly start: Step | undefined;
}

/**
 * Each step belongs to the one that it undoes: plain k3s that was not stopped runs on as it is. What an earlier run did, which
 * was killed, is undone in any case.
 */
function wayBack(
  facts: MachineFacts,
  manager: ServiceManager,
  record: InstallRecord,
  { found, stop, enable, start }: ServiceSteps,
): readonly UndoStep[] {
  const service = serviceOf(manager.kind, WORKER_UNIT);
  const { wasActive = false, wasEnabled = false } = record.takenOver ?? {};
  const isOursRunning = !found.isForeign && facts.isActive;
  const ending = service.stop('the host that was started ends');
  return [
    ...(start || isOursRunning ? [{ step: ending, undoes: isOursRunning ? undefined : start }] : []),
    ...(!wasEnabled && (enable || facts.isEnabled) ? [{ step: service.disable(), undoes: enable }] : []),
    ...putBack(facts, record).map((step) => ({ step })),
    ...(manager.isRunning ? service.reload : []).map((step) => ({ step })),
    ...(wasActive ? [{ step: plainAgain(facts, service), undoes: stop }] : []),
    ...forgetRecord(record).map((step) => ({ step, needsAll: true })),
  ];
}

/** The operator may have removed its Node by now. */
function plainAgain(facts: MachineFacts, service: ReturnType<typeof serviceOf>): Step {
  const start = service.startPlain();
  return { ...start, orElse: [...forgetCertificate(facts), start] };
}

function startStep(
  facts: MachineFacts,
  { skipStart, startDeadlineMs }: WorkerRequest,
  service: ReturnType<typeof serviceOf>,
  isChanged: boolean,
): Step | undefined {
  if (skipStart || (facts.isActive && !isChanged)) return undefined;
  return service.start(startDeadlineMs, 'returns when the Node is Ready (Type=notify)');
}

interface FoundSetup {
  /** The unit of plain k3s. */
  readonly isForeign: boolean;
  readonly flags: readonly string[];
  readonly droppedFlags: readonly string[];
}

function setupOf(facts: MachineFacts, manager: ServiceManager): FoundSetup {
  const unit = facts.files.get(unitPath('worker', manager.kind))?.text;
  const command = unit === undefined ? undefined : unitCommand(unit, manager.kind);
  if (!command) return { isForeign: unit !== undefined, flags: [], droppedFlags: [] };
  if (isOurs(command)) return { isForeign: false, flags: command.slice(2), droppedFlags: [] };
  const { flags, dropped } = carryFlags(command.slice(2));
  return { isForeign: true, flags, droppedFlags: dropped };
}

interface WantedFiles {
  readonly files: readonly Wanted[];
  readonly keys: ReturnType<typeof keySteps>;
  readonly flags: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly dropped: readonly string[];
}

function wantedFiles(
  facts: MachineFacts,
  request: WorkerRequest,
  manager: ServiceManager,
  found: FoundSetup,
): WantedFiles {
  const flags = [...(request.flags ?? found.flags)];
  const unit = { program: request.program, flags };
  const environmentFile = environmentFileOf(WORKER_UNIT, manager.kind);
  const earlier = parseEnvironmentFile(facts.files.get(environmentFile)?.text ?? '');
  const { variables, dropped } = serviceVariables(earlier, request.environment);
  const configs = facts.k3sConfigFiles.map((path) => {
    const file = facts.files.get(path);
    return { path, mode: file?.mode ?? 0o600, ...cleanK3sConfig(path, file?.text ?? '') };
  });
  const keyFiles: readonly KeyFile[] =
    request.walletKeyFile === undefined
      ? []
      : [{ name: 'wallet.key', path: request.walletKeyFile, variable: 'K3S_DAAS_WALLET_KEY_FILE' }];
  const keys = keySteps('worker', request.keyMode, keyFiles, manager, facts);
  return {
    files: [
      ...configs
        .filter((config) => config.dropped.length > 0)
        .map(({ path, mode, text, dropped: keysLeftOut }) => ({
          path,
          content: text,
          mode,
          why: `without ${keysLeftOut.join(', ')}, which the gateway decides`,
        })),
      {
        path: environmentFile,
        content: formatEnvironmentFile(variables),
        mode: 0o600,
        why: 'the variables of the unit',
      },
      ...keys.files.map((file) => ({ ...file, path: dropInPath('worker') })),
      {
        path: unitPath('worker', manager.kind),
        content: manager.kind === 'systemd' ? workerUnit(unit) : workerOpenrc(unit),
        mode: manager.kind === 'systemd' ? 0o644 : 0o755,
        why: found.isForeign ? 'the unit of plain k3s becomes ours' : 'the unit',
      },
    ],
    keys,
    flags,
    variables,
    dropped: [
      ...dropped,
      ...(request.flags ? [] : found.droppedFlags),
      ...configs.flatMap(({ path, dropped: keysLeftOut }) => keysLeftOut.map((key) => `${key} in ${path}`)),
    ],
  };
}

/** The same judgement as the start's own, while nothing has been stopped. */
function rehearsal({ program, environment }: WorkerRequest, { flags, variables }: WantedFiles): RunStep {
  const { PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME = '/root' } =
    environment;
  return {
    kind: 'run',
    argv: [program, 'agent', '--dry-run', ...flags],
    env: { PATH, HOME, NO_COLOR: '1', ...variables },
    why: 'stake, gateway and k3s are asked; nothing is sent or started',
    deadlineMs: 120_000,
  };
}

function k3sSteps(facts: MachineFacts, { k3s, skipStart }: WorkerRequest): readonly Step[] {
  const links = k3sTools
    .filter((tool) => !facts.tools.has(tool))
    .map(
      (tool): Step => ({
        kind: 'link',
        path: join(k3s.binDir, tool),
        target: 'k3s',
        why: 'as k3s installs it',
      }),
    );
  if (facts.k3s !== undefined) return [];
  if (!k3s.skipDownload) return [k3sDownload(k3s, facts.architecture), ...links];
  if (skipStart) return [];
  throw new ConfigurationError(
    'DAAS_INSTALL_K3S_MISSING',
    `there is no k3s binary in ${k3s.binDir}, /usr/local/bin or /opt/bin, and INSTALL_K3S_DAAS_SKIP_DOWNLOAD is set. Put it there, or leave the variable out`,
  );
}

function refuseServer({ serverSigns, otherAgents }: MachineFacts): void {
  if (serverSigns.length > 0)
    throw new ConfigurationError(
      'DAAS_INSTALL_K3S_SERVER',
      `this machine is a k3s server (${serverSigns.join(', ')}): a worker is an agent on a machine of its own. Beside a server belongs the gateway: \`k3s-daas install --gateway\`. Was it one once? Run k3s-uninstall.sh first`,
      { details: { found: serverSigns } },
    );
  if (otherAgents.length > 0)
    throw new ConfigurationError(
      'DAAS_INSTALL_MACHINE_TAKEN',
      `another kubelet runs on this machine (${otherAgents.join(', ')}). Stop and disable it first`,
      { details: { found: otherAgents } },
    );
}

/** Pods belong to a Node's name: under another one the kubelet ends them. */
function refuseOtherName({ nodeName }: MachineFacts, { nodeId }: WorkerRequest): void {
  if (nodeName === undefined || nodeId === undefined || nodeName === nodeId) return;
  throw new ConfigurationError(
    'DAAS_INSTALL_NODE_NAME_DIFFERS',
    `this machine is the Node '${nodeName}', and nodeId is '${nodeId}': its pods would be ended. Set nodeId to ${nodeName}; or remove plain k3s first (k3s-agent-uninstall.sh)`,
    { details: { nodeName, nodeId } },
  );
}

function notesOf(
  facts: MachineFacts,
  request: WorkerRequest,
  { isForeign }: FoundSetup,
  dropped: readonly string[],
): readonly string[] {
  const notes: string[] = [];
  if (isForeign)
    notes.push(
      'plain k3s is taken over: its pods run on, and `k3s-daas uninstall --restore-k3s` brings it back',
      `the cluster's operator has to free the name ${facts.nodeName ?? request.nodeId ?? 'of this Node'} first (docs/install.md)`,
    );
  if (dropped.length > 0) notes.push(`left out, because the gateway decides it: ${dropped.join(', ')}`);
  return notes;
}
