import type { Log } from '#base';
import { followTracing } from '#infrastructure';
import { packageVersion } from './package-version.ts';

/** Spans go to an OpenTelemetry SDK that was loaded before this program. */
export async function reportTracing(log: Log): Promise<void> {
  if (await followTracing(packageVersion()))
    log.info('Spans go to the OpenTelemetry SDK of this process', { event: 'tracing.followed' });
}
