import { join } from 'node:path';

/** Where k3s keeps the node's password: one a machine, or one a data directory with `--rootless`. */
export function nodePasswordFile(dataDir: string, isRootless: boolean): string {
  return isRootless ? join(dataDir, 'agent/etc/rancher/node/password') : '/etc/rancher/node/password';
}
