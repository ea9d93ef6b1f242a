import { DaasError, errorFacts, messageOf, type SentNotice } from 'k3s-daas/plugin';
import { askProgram } from '#infrastructure';

const longestMs = 10_000;

/**
 * Runs a program with the notice as JSON on its standard input. It gets PATH and the kind of the notice, and no other variable of the
 * host; what it started ends with it when its time is over. Throws `PLUGIN_COMMAND_FAILED` unless it ends with 0, and
 * `DAAS_FILE_UNTRUSTED` for a program that others can change.
 */
export async function runCommand(
  [program = '', ...words]: readonly string[],
  notice: SentNotice,
  signal: AbortSignal,
): Promise<void> {
  const call = {
    program,
    arguments: words,
    timeoutMs: longestMs,
    input: `${JSON.stringify(notice)}\n`,
    env: { K3S_DAAS_NOTICE: notice.kind, K3S_DAAS_NODE_ID: notice.nodeId },
    origin: 'command of the plugin notifier',
  };
  await askProgram(call, signal).catch((cause: unknown) => {
    if (errorFacts(cause).code !== undefined) throw cause;
    throw new DaasError('PLUGIN_COMMAND_FAILED', `${program} did not take a notice: ${messageOf(cause)}`, {
      cause,
      isRetryable: true,
    });
  });
}
