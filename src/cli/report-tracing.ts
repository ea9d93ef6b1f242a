import type { Log } from '#base';
import { followTracing } from '#infrastructure';
import { packageVersion } from './package-version.ts';

/** Spans go to an OpenTelemetry SDK that was loaded before this program. */
export async function reportTracing(log: Log): Promise<void> {
  const found = await followTracing(packageVersion());
  if (found === 'followed')
    log.info('Spans go to the OpenTelemetry SDK of this process', { event: 'tracing.followed' });
  if (found === 'too old')
    log.warn('No spans are made: the OpenTelemetry API that the SDK came with is older than 1.9');
}
