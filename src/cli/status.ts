import { Command } from 'commander';
import { EXIT } from '#base';
import type { Io } from './io.ts';
import { loadWorkerSettings } from './settings.ts';
import type { WorkerStatus } from './status-source.ts';

interface StatusFlags {
  readonly config?: string;
  readonly once?: boolean;
}

const intervalMs = 1_000;

/** `k3s-daas status`: how this worker is. */
export function statusCommand(io: Io): Command {
  return new Command('status')
    .description(
      'Shows how this worker is: phase, stake, end of the Seal token, gateway, agent, last heartbeat, pods, health of each plugin, and what needs you. On a terminal it is shown live: q ends it. Reads alone, and works while the host is down. Exits with 0 when the host runs and is ready, else with 1.',
    )
    .option(
      '-c, --config <file>',
      'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option('--once', 'print it once, also on a terminal')
    .option('--json', 'print one JSON object')
    .action(async ({ config, once = false }: StatusFlags) => {
      const [{ readWorkerStatus }, { statusScreen }] = await Promise.all([
        import('./status-source.ts'),
        import('./status-screen.ts'),
      ]);
      const settings = await loadWorkerSettings({ file: config, env: await unitVariables() });
      let last: WorkerStatus = await readWorkerStatus(settings);
      if (io.isJson || once || !process.stdout.isTTY || !process.stdin.isTTY)
        io.result({ ...last }, statusScreen(last, io.colour));
      else {
        const { liveScreen } = await import('./live-screen.ts');
        const draw = async () => {
          last = await readWorkerStatus(settings);
          return statusScreen(last, io.colour);
        };
        const { stdin, stdout } = process;
        await liveScreen(draw, { stdin, stdout, intervalMs, signal: stopSignal() });
      }
      if (!isWell(last)) process.exitCode = EXIT.unexpected;
    });
}

/** The host runs with the variables of its unit, not with the shell's. */
async function unitVariables(): Promise<Readonly<Record<string, string | undefined>>> {
  const { thisMachine, unitEnvironment } = await import('#install');
  return unitEnvironment(thisMachine(), process.env);
}

function isWell(read: WorkerStatus): boolean {
  return read.running && read.status.health.ready;
}

/** The terminal must come back, however it is ended. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort());
  return stop.signal;
}
