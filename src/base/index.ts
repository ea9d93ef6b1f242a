export { aborted } from './aborted.ts';
export { type Backoff, backoffDelayMs } from './backoff.ts';
export { type Clock, systemClock } from './clock.ts';
export { displayJson, displayLines, displayText } from './display.ts';
export { drawOf } from './draw.ts';
export { ERROR_CODES, type ErrorCode, gatewayErrorCode, isErrorCode } from './error-codes.ts';
export {
  ConfigurationError,
  DaasError,
  type DaasErrorOptions,
  EXIT,
  type ExitCode,
  messageOf,
} from './errors.ts';
export { forgetOldest } from './forget-oldest.ts';
export { hostPort, urlHost } from './host-port.ts';
export { httpsOriginProblem, maskUserInfo } from './https-origin.ts';
export type { Journal } from './journal.ts';
export { Lifetime } from './lifetime.ts';
export { type Log, type LogFields, type OpenLog, silentLog } from './log.ts';
export { type ErrorField, errorFields, type KnownLogFields } from './log-fields.ts';
export { membersOf } from './members-of.ts';
export { createMutex, type Mutex } from './mutex.ts';
export { describeNetworkFailure, innermostCause } from './network-failure.ts';
export { printable } from './printable.ts';
export { Secret } from './secret.ts';
export { carriedFile, isSingleExecutable } from './single-executable.ts';
export { createSlice, inSlices, nextTurn, type Slice } from './slices.ts';
export { createTally, type Tally } from './tally.ts';
export {
  collectSpans,
  type OpenSpan,
  SPANS,
  type SpanAttributes,
  type SpanCollector,
  type SpanName,
  type SpanOptions,
  spanCollector,
  traced,
} from './tracing.ts';
export { trustedServerOf, trustedServerProblem } from './trusted-server.ts';
