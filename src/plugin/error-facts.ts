import { type ErrorCode, EXIT, type ExitCode, isErrorCode } from '#base';

/** What an error says about itself. */
export interface ErrorFacts {
  /** `undefined`: it has no code of this project (`DAAS_…`) or of a plugin (`PLUGIN_…`). */
  readonly code: ErrorCode | undefined;
  readonly exitCode: ExitCode;
  /** The same call may succeed later without any change. */
  readonly isRetryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * Reads an error by its shape. Use it instead of `instanceof DaasError`: a plugin can bring its own copy of this package,
 * and its errors are of another class. Anything can be given; what is missing gets the default of an unexpected error.
 */
export function errorFacts(error: unknown): ErrorFacts {
  const shape = (typeof error === 'object' && error !== null ? error : {}) as Partial<
    Record<keyof ErrorFacts, unknown>
  >;
  const exitCode = Object.values(EXIT).find((code) => code === shape.exitCode);
  const isObject = typeof shape.details === 'object' && shape.details !== null;
  return {
    code: isErrorCode(shape.code) ? shape.code : undefined,
    exitCode: exitCode ?? EXIT.unexpected,
    isRetryable: shape.isRetryable === true,
    details: isObject ? (shape.details as Record<string, unknown>) : {},
  };
}
