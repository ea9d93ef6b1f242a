import { spawn } from 'node:child_process';
import { DaasError, messageOf, type SentNotice } from 'k3s-daas/plugin';

/** Runs a program with the notice as JSON on its standard input. Throws `PLUGIN_COMMAND_FAILED` unless it ends with 0. */
export async function runCommand(
  [program = '', ...words]: readonly string[],
  notice: SentNotice,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const failed = (why: string, cause?: unknown) =>
    reject(
      new DaasError('PLUGIN_COMMAND_FAILED', `${program} did not take a notice: ${why}`, {
        cause,
        isRetryable: true,
      }),
    );
  const child = spawn(program, words, {
    signal,
    killSignal: 'SIGKILL',
    stdio: ['pipe', 'ignore', 'inherit'],
    // The variables of the host may hold keys.
    env: { PATH: process.env.PATH, K3S_DAAS_NOTICE: notice.kind, K3S_DAAS_NODE_ID: notice.nodeId },
  });
  child.on('error', (error) => failed(messageOf(error), error));
  child.on('close', (code, by) =>
    code === 0 ? resolve() : failed(by ? `ended by ${by}` : `exit code ${code}`),
  );
  // A program that does not read its input is not a failure.
  child.stdin.on('error', () => undefined);
  child.stdin.end(`${JSON.stringify(notice)}\n`);
  await promise;
}
