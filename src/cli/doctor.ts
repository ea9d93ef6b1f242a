import { Command } from 'commander';
import { DaasError, EXIT, messageOf } from '#base';
import { chainChecks } from './doctor-chain.ts';
import type { Check, Probes, State, Verdict } from './doctor-check.ts';
import { machineChecks } from './doctor-machine.ts';
import { serviceChecks } from './doctor-service.ts';
import { teeChecks } from './doctor-tee.ts';
import type { Io } from './io.ts';

/** Every check, in the order in which they are shown. */
export const checks: readonly Check[] = [...serviceChecks, ...machineChecks, ...teeChecks, ...chainChecks];

/** `k3s-daas doctor`: what on this worker needs somebody. Reads alone. */
export function doctorCommand(io: Io): Command {
  return new Command('doctor')
    .description(
      'Checks this worker: configuration, k3s, machine, chain, gateways, stake, service. Each check says what it saw and what to do. Changes nothing. Exits with 1 when something needs action.',
    )
    .option(
      '-c, --config <file>',
      'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option('--json', 'print one JSON object')
    .action(async ({ config }: { config?: string }) => {
      const { probesOf } = await import('./doctor-probes.ts');
      const { thisMachine, unitEnvironment } = await import('#install');
      // The host runs with the unit's variables, not with the shell's.
      const env = await unitEnvironment(thisMachine(), process.env);
      const findings = await examine(probesOf({ file: config, env }));
      io.result({ findings, needsAction: needsAction(findings) }, describe(findings, io));
      if (needsAction(findings)) process.exitCode = EXIT.unexpected;
    });
}

export interface Finding extends Omit<Verdict, 'fix'> {
  readonly id: string;
  readonly group: Check['group'];
  readonly what: string;
  readonly fix: string | null;
  readonly link: string;
}

/** Runs every check; one that fails to look is a finding, too. */
export async function examine(probes: Probes, all = checks): Promise<readonly Finding[]> {
  const toldBy = new Map<unknown, string>();
  const verdicts: Verdict[] = [];
  // One after the other: what keeps several from looking is told by the first.
  for (const check of all)
    verdicts.push(
      await check.judge(probes).catch((error: unknown): Verdict => {
        const first = toldBy.get(error);
        if (first !== undefined) return { state: 'unknown', evidence: `not looked at: see ${first}` };
        toldBy.set(error, check.what);
        return asVerdict(error);
      }),
    );
  return all.map(({ id, group, what, link }, index) => {
    const { state, evidence, fix = null } = verdicts[index] ?? asVerdict(undefined);
    return { id, group, what, state, evidence, fix, link: `docs/${link}` };
  });
}

/** An error of configuration names its fix; what could not be reached says nothing about this machine. */
function asVerdict(error: unknown): Verdict {
  const evidence = messageOf(error);
  if (!(error instanceof DaasError)) return { state: 'unknown', evidence };
  const fix = `see ${error.code} in docs/errors.md`;
  return { state: error.exitCode === EXIT.configuration ? 'bad' : 'unknown', evidence, fix };
}

function needsAction(findings: readonly Finding[]): boolean {
  return findings.some(({ state }) => state === 'bad');
}

const signs: Readonly<Record<State, string>> = { good: 'ok  ', warn: 'warn', bad: 'BAD ', unknown: '?   ' };

function describe(findings: readonly Finding[], { colour }: Io): string {
  const lines = findings.flatMap(({ state, what, evidence, fix, link }) => [
    `${state === 'bad' ? colour.bold(signs[state]) : signs[state]}  ${what}: ${evidence}`,
    ...(fix === null ? [] : [`      ${fix}`, `      ${colour.dim(link)}`]),
  ]);
  const count = findings.filter(({ state }) => state === 'bad').length;
  const end = count === 0 ? 'Nothing needs action.' : `${count} of ${findings.length} checks need action.`;
  return [...lines, end].join('\n');
}
