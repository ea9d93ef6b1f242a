import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentFlags } from './flags.ts';

/** Where the kubelet serves its health: its flags, else the last of its files that says it, else k3s' default. */
export async function healthzAddress({
  kubeletArguments,
  dataDir,
  nodeIp,
}: AgentFlags): Promise<{ readonly host: string; readonly port: number }> {
  const flag = (name: string) => {
    const form = new RegExp(`^(?:--)?${name.replaceAll('-', '[-_]')}[-+]?=(.*)$`);
    return kubeletArguments.map((text) => form.exec(text)?.[1]).findLast((value) => value !== undefined);
  };
  const config = flag('config');
  const directory = flag('config-dir');
  const files = [
    ...confFiles(join(dataDir, 'agent', 'etc', 'kubelet.conf.d')),
    ...(config === undefined ? [] : [config]),
    ...(directory === undefined ? [] : confFiles(directory)),
  ];
  let document: { healthzPort?: number | null; healthzBindAddress?: string | null } = {};
  for (const file of files) {
    const { parse } = await import('yaml');
    document = { ...document, ...(parse(readFileSync(file, 'utf8')) as object) };
  }
  const host = flag('healthz-bind-address') ?? document.healthzBindAddress;
  return {
    host: host ?? (nodeIp.includes(':') ? '::1' : '127.0.0.1'),
    port: Number(flag('healthz-port') ?? document.healthzPort ?? 10_248),
  };
}

function confFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.conf'))
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}
