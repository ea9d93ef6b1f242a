import { createMutex, errorFields, type Log } from '#base';
import type { RunningGateway } from '#gateway';
import type { Settings } from '#infrastructure';
import { gatewaySection, withGatewayId } from './gateway-config.ts';
import { type GatewaySettings, loadGatewaySettings } from './settings.ts';

export interface ReloaderOptions {
  readonly gateway: Pick<RunningGateway, 'reload'>;
  /** What the process has started with. */
  readonly settings: Settings<GatewaySettings>;
  /** `--config` */
  readonly file: string | undefined;
  readonly log: Log;
}

/**
 * From the first moment on: by default SIGHUP ends a process. One that comes before the gateway runs needs no reload, since
 * the files are read then.
 */
export function catchHangups(): { act: () => unknown } {
  const hangups = { act: (): unknown => undefined };
  process.on('SIGHUP', () => hangups.act());
  return hangups;
}

/** Reads the configuration anew and hands it to the gateway. Never rejects: what is wrong is logged, and nothing changes. */
export function createReloader({ gateway, settings, file, log }: ReloaderOptions): () => Promise<void> {
  const exclusive = createMutex();
  return () =>
    exclusive(async () => {
      try {
        const next = await loadGatewaySettings({ file });
        const { differences } = await import('#gateway');
        const others = (['chain', 'log'] as const).flatMap((name) =>
          differences(settings.value[name], next.value[name], name),
        );
        const { applied, refused, isNewCertificate } = await gateway.reload(
          withGatewayId(gatewaySection(next)),
        );
        const all = [...refused, ...others];
        log.info('Configuration reloaded', {
          event: 'gateway.reloaded',
          settings: applied,
          detail: isNewCertificate ? 'a new certificate is served' : 'the certificate is the same',
        });
        if (all.length > 0)
          log.warn(
            'These settings are not reloaded, the values of before stay in force: restart the gateway',
            {
              event: 'gateway.reload-refused',
              settings: all,
            },
          );
      } catch (error) {
        log.error('Nothing was reloaded: configuration and certificate of before stay in force', {
          event: 'gateway.reload-failed',
          ...errorFields(error),
        });
      }
    }).catch(() => undefined);
}
