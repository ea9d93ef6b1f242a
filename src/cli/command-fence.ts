import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DaasError, messageOf } from '#base';
import type { Fence, FenceState } from './fence.ts';

/**
 * A fence that a program of the operator's builds, such as a router's: it gets `{"addresses": […]}` on standard input, each time all
 * of them, and answers with its exit code.
 */
export function commandFence(program: string): Fence {
  return {
    apply: (state) => tell(program, state),
    counters: async () => [],
    remove: () => tell(program, { addresses: [] }),
  };
}

async function tell(program: string, state: FenceState): Promise<void> {
  const child = spawn(program, [], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(`${JSON.stringify(state)}\n`);
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    if (code !== 0) throw new Error(`it ended with ${code ?? signal}`);
  } catch (cause) {
    throw new DaasError('DAAS_FENCE_FAILED', `${program} did not build the fence: ${messageOf(cause)}`, {
      cause,
      isRetryable: true,
    });
  }
}
