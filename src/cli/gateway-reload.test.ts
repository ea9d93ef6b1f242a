import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RecordingLog } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import type { RunnableGatewayConfig } from '#gateway';
import { createReloader } from './gateway-reload.ts';
import { loadGatewaySettings } from './settings.ts';

test('SIGHUP hands the gateway the configuration as it is now, names what needs a restart, and survives what is wrong', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'reload-'));
  try {
    const file = join(directory, 'k3s-daas.json');
    const tls = { certFile: 'tls.crt', keyFile: 'tls.key' };
    const write = (level: string, change: object) =>
      writeFile(
        file,
        JSON.stringify({
          chain: { endpoints: ['http://127.0.0.1:9'] },
          log: { level },
          gateway: { tls, server: 'https://k3s.example:6443', gatewayId: '0xg', ...change },
        }),
      );
    await write('info', {});
    const settings = await loadGatewaySettings({ file });
    const log = new RecordingLog();
    const asked: RunnableGatewayConfig[] = [];
    const gateway = {
      reload: async (config: RunnableGatewayConfig) => {
        asked.push(config);
        return { applied: ['gateway.factsGraceMs'], refused: ['gateway.stateDir'], isNewCertificate: true };
      },
    };
    const reload = createReloader({ gateway, settings, file, log });
    await write('debug', { factsGraceMs: 7 });
    await reload();
    expect(asked[0]).toMatchObject({ factsGraceMs: 7, tls: { certFile: join(directory, 'tls.crt') } });
    await write('debug', { factsGraceMs: 'soon' });
    await reload();
    expect(asked).toHaveLength(1);
    expect(log.records.map(({ fields }) => [fields.event, fields.settings])).toEqual([
      ['gateway.reloaded', ['gateway.factsGraceMs']],
      ['gateway.reload-refused', ['gateway.stateDir', 'log.level']],
      ['gateway.reload-failed', undefined],
    ]);
    expect(log.records[2]?.fields.error).toMatchObject({ code: 'DAAS_CONFIG_INVALID' });
  } finally {
    await rm(directory, { recursive: true });
  }
});
