import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayConfig } from './config.ts';

/** The settings of a gateway whose files are in the directory, which this writes; further ones win. */
export async function settingsIn(
  directory: string,
  tls: { readonly cert: string; readonly key: string },
  further: object,
): Promise<GatewayConfig> {
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(directory, name), content, { mode: 0o600 });
    return join(directory, name);
  };
  return GatewayConfig.parse({
    listen: { host: '127.0.0.1', port: 0 },
    health: { port: 0 },
    tls: { certFile: await file('tls.crt', tls.cert), keyFile: await file('tls.key', tls.key) },
    stateDir: join(directory, 'state'),
    server: 'https://k3s.example:6443',
    serverCaFile: await file('server-ca.crt', tls.cert),
    ...further,
  });
}
