import { PROBLEMS, type ProblemCode } from '#api';
import { DaasError, gatewayErrorCode } from '#base';

/** An error that the caller of an API gets as its reply. `reason` and `checks`: what log and audit file add to it. */
export class ApiProblem extends DaasError {
  override readonly name = 'ApiProblem';
  readonly problem: ProblemCode;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  /** Of evidence that is refused: the names of the checks that it does not pass. */
  readonly checks: readonly string[] | undefined;

  constructor(
    problem: ProblemCode,
    detail: string,
    options: {
      readonly reason?: string;
      readonly retryAfterMs?: number;
      readonly checks?: readonly string[];
      readonly cause?: unknown;
    } = {},
  ) {
    super(gatewayErrorCode(problem), detail, {
      isRetryable: PROBLEMS[problem].isRetryable,
      ...(options.cause !== undefined && { cause: options.cause }),
    });
    this.problem = problem;
    this.reason = options.reason ?? problem;
    this.retryAfterMs = options.retryAfterMs;
    this.checks = options.checks;
  }
}
