import { once } from 'node:events';
import { execa } from 'execa';
import { ConfigurationError, messageOf } from '#base';
import { LineSplitter } from './log-lines.ts';

interface ProcessEnd {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
}

/** A k3s process that was started. */
export interface AgentProcess {
  readonly pid: number;
  /** Resolves when the process itself has ended; processes that it leaves may still hold its output open. */
  readonly ended: Promise<ProcessEnd>;
  /** Resolves after the last line; never while a pod's shim holds the output open. */
  readonly drained: Promise<unknown>;
  /** SIGTERM; false when it has ended already, even if another process has its pid by now. */
  terminate(): boolean;
}

export interface LaunchOptions {
  readonly binary: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly onLine: (line: string) => void;
}

/**
 * Starts the binary and passes its output on, line by line. It leads a session of its own, so that Ctrl-C at the terminal does
 * not reach it: our SIGTERM would then be its second signal, which ends k3s at once. It also outlives this process
 * (`cleanup: false`), as under k3s' own unit (`KillMode=process`).
 */
export async function launch({ binary, argv, env, onLine }: LaunchOptions): Promise<AgentProcess> {
  const child = execa(binary, argv, {
    env,
    extendEnv: false,
    cleanup: false,
    buffer: false,
    reject: false,
    detached: true,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  // Not execa's own promise, which also waits for the pipes: a grandchild may hold them open.
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.nodeChildProcess.once('exit', (code, signal) =>
      resolve({ exitCode: code ?? undefined, signal: signal ?? undefined }),
    );
  });
  if (child.pid === undefined) {
    const { cause, message } = (await child) as { cause?: unknown; message?: string };
    throw new ConfigurationError(
      'DAAS_AGENT_BINARY_MISSING',
      `the k3s binary ${binary} (agent.binary) cannot be run: ${cause ? messageOf(cause) : (message ?? 'unknown reason')}`,
      { cause },
    );
  }
  const streams = [child.stdout, child.stderr];
  const drained = Promise.all(streams.map((stream) => once(stream, 'close').catch(() => undefined)));
  for (const stream of streams) {
    const splitter = new LineSplitter();
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => splitter.push(chunk).forEach(onLine));
    stream.on('end', () => splitter.rest().forEach(onLine));
    // A reset pipe ends the output; `ended` reports the end of the process.
    stream.on('error', () => undefined);
  }
  return { pid: child.pid, ended, drained, terminate: () => child.nodeChildProcess.kill('SIGTERM') };
}

export type FinishedRun =
  | (ProcessEnd & { readonly kind: 'ended'; readonly stdout: string; readonly stderr: string })
  | { readonly kind: 'late' }
  | { readonly kind: 'not-started'; readonly cause: unknown };

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs the binary to its end and returns what it prints. */
export async function runToEnd(
  binary: string,
  argv: readonly string[],
  { env, timeoutMs, signal }: RunOptions,
): Promise<FinishedRun> {
  const result = await execa(binary, argv, {
    env,
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    timeout: timeoutMs,
    maxBuffer: 1_000_000,
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  const { stdout, stderr, exitCode } = result;
  if (result.timedOut) return { kind: 'late' };
  if (exitCode === undefined && result.signal === undefined)
    return { kind: 'not-started', cause: result.cause ?? result };
  return { kind: 'ended', stdout, stderr, exitCode, signal: result.signal };
}
