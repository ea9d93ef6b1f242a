import { PROBLEMS, type ProblemCode } from '#api';
import { DaasError, gatewayErrorCode } from '#base';

/** What a caller of the public API is told; `reason` is what the log and the audit file say beyond it. */
export class Refusal extends DaasError {
  override readonly name = 'Refusal';
  readonly problem: ProblemCode;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(
    problem: ProblemCode,
    detail: string,
    options: { readonly reason?: string; readonly retryAfterMs?: number; readonly cause?: unknown } = {},
  ) {
    super(gatewayErrorCode(problem), detail, {
      isRetryable: PROBLEMS[problem].isRetryable,
      ...(options.cause !== undefined && { cause: options.cause }),
    });
    this.problem = problem;
    this.reason = options.reason ?? problem;
    this.retryAfterMs = options.retryAfterMs;
  }
}
