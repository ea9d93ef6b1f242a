import { type ChildProcess, fork } from 'node:child_process';
import { backoffDelayMs, type Clock, type Log } from '#base';
import { type AccessRules, initialRules, type NodeAccess } from './access-table.ts';
import type { CountedDenial, FromAuthorizer, ToAuthorizer } from './messages.ts';
import type { WebhookTls } from './webhook.ts';

/** The program that runs `runAuthorizerProcess`. */
export interface AuthorizerProgram {
  readonly file: string;
  readonly args: readonly string[];
}

export interface AuthorizerOptions {
  readonly program: AuthorizerProgram;
  readonly tls: WebhookTls;
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDenials: (denials: readonly CountedDenial[], mode: AccessRules['mode']) => void;
  /** How long the process may take to answer before it is ended; 3 s unless given. */
  readonly patienceMs?: number;
}

/** The authorizer webhook in a process of its own, as the gateway sees it. */
export interface Authorizer extends AsyncDisposable {
  /** Replaces what is known of these nodes, at once. */
  setNodes(nodes: readonly NodeAccess[], forgotten?: readonly string[]): void;
  setRules(rules: AccessRules): void;
  rules(): AccessRules;
  /** The port that it listens on now; `undefined`: it does not. */
  port(): number | undefined;
  /** Why it does not listen, if it does not. */
  failure(): string | undefined;
  /** Keeps it running until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

interface State extends AuthorizerOptions {
  readonly nodes: Map<string, NodeAccess>;
  rules: AccessRules;
  child: ChildProcess | undefined;
  port: number;
  listeningPort: number | undefined;
  failure: string | undefined;
  answeredId: number;
}

const restart = { baseMs: 100, maxMs: 5_000 };
const pingEveryMs = 1_000;
/** Until it listens nobody waits for it: a busy machine may take long to load it. */
const startPatienceMs = 60_000;

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const state: State = {
    ...options,
    nodes: new Map(),
    rules: initialRules,
    child: undefined,
    listeningPort: undefined,
    failure: 'it has not started yet',
    answeredId: 0,
  };
  return {
    setNodes(nodes, forgotten = []) {
      for (const nodeId of forgotten) state.nodes.delete(nodeId);
      for (const node of nodes) state.nodes.set(node.nodeId, node);
      send(state, { kind: 'nodes', nodes, forgotten });
    },
    setRules(rules) {
      state.rules = rules;
      send(state, { kind: 'rules', rules });
    },
    rules: () => state.rules,
    port: () => state.listeningPort,
    failure: () => state.failure,
    run: (signal) => keepRunning(state, signal),
    async [Symbol.asyncDispose]() {
      await end(state);
    },
  };
}

async function keepRunning(state: State, signal: AbortSignal): Promise<void> {
  const { clock, log } = state;
  let failures = 0;
  while (!signal.aborted) {
    const beganAtMs = clock.monotonicMs();
    const why = await runOnce(state, signal);
    if (signal.aborted) return;
    if (clock.monotonicMs() - beganAtMs > 60_000) failures = 0;
    const delayMs = backoffDelayMs(failures, restart, Math.random);
    failures += 1;
    state.failure = why;
    log.error('The authorizer has ended and is started again: until then the API server decides without it', {
      event: 'authorizer.ended',
      detail: why,
      delayMs,
    });
    await clock.sleep(delayMs, signal).catch(() => undefined);
  }
}

/** One life of the process; resolves with why it ended. */
async function runOnce(state: State, signal: AbortSignal): Promise<string> {
  const { program, tls, host, port, rules, nodes } = state;
  const child = fork(program.file, [...program.args], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  state.child = child;
  const ended = Promise.withResolvers<string>();
  child.once('error', (error) => ended.resolve(error.message));
  child.once('exit', (code, killedBy) => ended.resolve(killedBy ?? `exit code ${code}`));
  child.on('message', (message: FromAuthorizer) => take(state, message));
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  send(state, { kind: 'start', tls, host, port, rules, nodes: [...nodes.values()] });
  const watching = new AbortController();
  const watched = watch(state, child, watching.signal);
  try {
    return await ended.promise;
  } finally {
    watching.abort();
    await watched;
    signal.removeEventListener('abort', stop);
    state.child = undefined;
    state.listeningPort = undefined;
  }
}

/**
 * Ends a process that does not answer: without it the API server decides at once, while one that hangs costs every request of
 * a kubelet its time-out.
 */
async function watch(state: State, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const { clock, log, patienceMs = 3_000 } = state;
  let id = state.answeredId;
  let silentSinceMs = clock.monotonicMs();
  while (!signal.aborted) {
    if (state.answeredId === id) {
      silentSinceMs = clock.monotonicMs();
      id += 1;
      send(state, { kind: 'ping', id });
    } else if (clock.monotonicMs() - silentSinceMs > (isListening(state) ? patienceMs : startPatienceMs)) {
      log.error('The authorizer does not answer and is ended', { event: 'authorizer.stuck' });
      child.kill('SIGKILL');
      return;
    }
    await clock.sleep(Math.min(pingEveryMs, patienceMs), signal).catch(() => undefined);
  }
}

const isListening = ({ listeningPort }: State): boolean => listeningPort !== undefined;

function take(state: State, message: FromAuthorizer): void {
  const { log, onDenials, rules } = state;
  switch (message.kind) {
    case 'listening':
      state.listeningPort = message.port;
      state.failure = undefined;
      log.info('The authorizer listens', { event: 'authorizer.listening', detail: `port ${message.port}` });
      return;
    case 'failed':
      state.failure = message.detail;
      log.error('The authorizer cannot listen', { detail: message.detail });
      state.child?.kill('SIGKILL');
      return;
    case 'pong':
      state.answeredId = message.id;
      return;
    case 'denials':
      if (message.unreadable > 0)
        log.warn('The authorizer was asked what is no review', { detail: `${message.unreadable} times` });
      if (message.denials.length > 0) onDenials(message.denials, rules.mode);
      return;
    default:
      message satisfies never;
  }
}

function send(state: State, message: ToAuthorizer): void {
  const { child } = state;
  if (!child?.connected) return;
  child.send(message, (error) => {
    // Its end is noticed by itself, and the next one starts with everything.
    if (error && child.connected) child.kill('SIGKILL');
  });
}

async function end({ child }: State): Promise<void> {
  if (!child || child.exitCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
