import type { ErrorCode } from '#base';
import { DaasError, EXIT, type ExitCode, isErrorCode } from '#base';

export type PluginPhase = 'load' | 'validate' | 'setup' | 'task' | 'call' | 'release';

/**
 * Something a plugin threw, with the plugin's name in front. Code, exit code and whether it may be retried are those of
 * what was thrown, read by shape: a plugin may bring a copy of the contract of its own, so `instanceof` would not hold.
 */
export class PluginError extends DaasError {
  override readonly name: string = 'PluginError';
  readonly plugin: string;
  readonly phase: PluginPhase;

  constructor(plugin: string, phase: PluginPhase, where: string, cause: unknown) {
    const facts = factsOf(cause);
    super(facts.code, `${plugin}(${where}): ${cause instanceof Error ? cause.message : String(cause)}`, {
      // What is behind it was already said in the sentence; the chain goes on with the cause's own cause.
      cause: cause instanceof Error ? cause.cause : undefined,
      exitCode: facts.exitCode,
      isRetryable: facts.isRetryable,
      details: { ...facts.details, plugin, phase },
    });
    this.plugin = plugin;
    this.phase = phase;
    if (cause instanceof Error && cause.stack) this.stack = cause.stack;
  }
}

interface ErrorFacts {
  readonly code: ErrorCode;
  readonly exitCode: ExitCode;
  readonly isRetryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What an error says of itself, whichever copy of `DaasError` it was made from. */
export function factsOf(error: unknown): ErrorFacts {
  const shape = (typeof error === 'object' && error !== null ? error : {}) as Partial<
    Record<keyof ErrorFacts, unknown>
  >;
  const exitCode = Object.values(EXIT).find((code) => code === shape.exitCode);
  return {
    code: isErrorCode(shape.code) ? shape.code : 'DAAS_PLUGIN_FAILED',
    exitCode: exitCode ?? EXIT.unexpected,
    isRetryable: shape.isRetryable === true,
    details:
      typeof shape.details === 'object' && shape.details !== null
        ? (shape.details as Record<string, unknown>)
        : {},
  };
}
