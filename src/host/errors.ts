import { DaasError, type ErrorCode } from '#base';
import { type ErrorFacts, errorFacts } from '#plugin';

export type PluginPhase = 'load' | 'validate' | 'setup' | 'task' | 'call' | 'release';

/** What a plugin threw, with the name of the plugin in front; code, exit code and `isRetryable` are those of the cause. */
export class PluginError extends DaasError {
  override readonly name: string = 'PluginError';
  readonly plugin: string;
  readonly phase: PluginPhase;

  constructor(plugin: string, phase: PluginPhase, where: string, cause: unknown) {
    const facts = factsOf(cause);
    super(facts.code, `${plugin}(${where}): ${cause instanceof Error ? cause.message : String(cause)}`, {
      // The sentence has the message of `cause` already, so the chain continues behind it.
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

/** As `errorFacts`; an error that has no code is a failure of the plugin that threw it. */
export function factsOf(error: unknown): ErrorFacts & { readonly code: ErrorCode } {
  const facts = errorFacts(error);
  return { ...facts, code: facts.code ?? 'DAAS_PLUGIN_FAILED' };
}
