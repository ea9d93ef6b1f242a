import { chmod, copyFile, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DaasError, messageOf } from '#base';
import { replaceFile } from '#infrastructure';
import { download } from './download.ts';
import { giveTo, linkTarget, type Machine, placeOf, readFileFact } from './machine.ts';
import { maskedWords } from './mask.ts';
import type { Plan, RunStep, Step, UndoStep } from './steps.ts';

export interface Watcher {
  onDone?(step: Step): void;
  onSkipped?(step: Step, why: string): void;
  onUndo?(cause: unknown): void;
}

/**
 * Makes a plan true, step by step. When a step fails and the plan has a way back, the machine is made as it was before and
 * `DAAS_INSTALL_ROLLED_BACK` is thrown; else `DAAS_INSTALL_STEP_FAILED`, and the same command goes on where it stopped.
 */
export async function carryOut(
  machine: Machine,
  { steps, undo }: Plan,
  watcher: Watcher = {},
): Promise<void> {
  const begun = new Set<Step>();
  try {
    for (const step of steps) {
      begun.add(step);
      await takeSteps(machine, [step], watcher);
    }
  } catch (cause) {
    if (undo.length === 0) throw cause;
    watcher.onUndo?.(cause);
    const failures = await takeBack(machine, undo, begun, watcher);
    if (failures.length > 0)
      throw new DaasError(
        'DAAS_INSTALL_STEP_FAILED',
        `${messageOf(cause)}. Undoing it failed, too: ${failures.map(messageOf).join('; ')}. Run \`k3s-daas uninstall --restore-k3s\``,
        { cause: new AggregateError([cause, ...failures], messageOf(cause)) },
      );
    throw new DaasError(
      'DAAS_INSTALL_ROLLED_BACK',
      `nothing has changed, plain k3s is in place again: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** Goes on after a failure: on a full disk plain k3s still starts. Returns what failed. */
async function takeBack(
  machine: Machine,
  undo: readonly UndoStep[],
  begun: ReadonlySet<Step>,
  watcher: Watcher,
): Promise<readonly unknown[]> {
  const failures: unknown[] = [];
  for (const { step, undoes, needsAll = false } of undo) {
    if (undoes && !begun.has(undoes)) continue;
    if (needsAll && failures.length > 0) continue;
    try {
      if (!(await isAlreadyThere(machine, step))) await takeSteps(machine, [step], watcher);
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}

/** What was not changed need not be written again, which a full disk would refuse. */
async function isAlreadyThere(machine: Machine, step: Step): Promise<boolean> {
  if (step.kind !== 'write') return false;
  const file = await readFileFact(machine, step.path);
  const { uid, gid } = step.owner ?? file ?? {};
  return file?.text === step.content && file.mode === step.mode && file.uid === uid && file.gid === gid;
}

async function takeSteps(machine: Machine, steps: readonly Step[], watcher: Watcher): Promise<void> {
  for (const step of steps) {
    if (await take(machine, step, watcher)) watcher.onDone?.(step);
  }
}

/** false: it failed, and that may be. */
async function take(machine: Machine, step: Step, watcher: Watcher): Promise<boolean> {
  if (step.kind === 'run') return runStep(machine, step, watcher);
  const place = placeOf(machine, step.path);
  try {
    await change(machine, step, place);
    return true;
  } catch (cause) {
    if (step.kind === 'write' && step.isHelp) {
      watcher.onSkipped?.(step, messageOf(cause));
      return false;
    }
    if (cause instanceof DaasError) throw cause;
    throw new DaasError('DAAS_INSTALL_STEP_FAILED', `${step.kind} ${step.path} failed`, { cause });
  }
}

type Change = Exclude<Step, RunStep>;

async function change(machine: Machine, step: Change, place: string): Promise<void> {
  switch (step.kind) {
    case 'directory':
      await mkdir(place, { recursive: true, mode: step.mode });
      return chmod(place, step.mode);
    case 'keep':
      await copyFile(place, placeOf(machine, step.copy));
      return chmod(placeOf(machine, step.copy), 0o600);
    case 'write':
      await mkdir(dirname(place), { recursive: true });
      await replaceFile(place, step.content, step.mode);
      // The mask of this process does not decide who may read a unit.
      await chmod(place, step.mode);
      return step.owner && giveTo(place, step.owner);
    case 'remove':
      return rm(place, { recursive: true, force: true });
    case 'link':
      if ((await linkTarget(machine, step.path)) === undefined) await symlink(step.target, place);
      return;
    case 'download':
      await mkdir(dirname(place), { recursive: true });
      return download(place, step);
    default:
      return step satisfies never;
  }
}

const longestWords = 2000;

async function runStep(machine: Machine, step: RunStep, watcher: Watcher): Promise<boolean> {
  const { argv, deadlineMs, env, mayFail = false } = step;
  const { exitCode, output } = await machine.run(argv, { deadlineMs, env });
  if (exitCode === 0) return true;
  const words = output.length > longestWords ? `…${output.slice(-longestWords)}` : output;
  if (mayFail) {
    watcher.onSkipped?.(step, words);
    await takeSteps(machine, step.orElse ?? [], watcher);
    return false;
  }
  const shownArgv = maskedWords(argv);
  throw new DaasError(
    'DAAS_INSTALL_STEP_FAILED',
    `\`${shownArgv.join(' ')}\` ended with ${exitCode}: ${words || 'it printed nothing'}`,
    { details: { argv: shownArgv, exitCode } },
  );
}
