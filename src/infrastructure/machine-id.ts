import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** The installation, which a copied disk takes along, and the hardware, real or virtual, which it does not. */
const sources = ['/etc/machine-id', '/sys/class/dmi/id/product_uuid'];

/**
 * Names this machine, for comparing alone; undefined where nothing names it (a container without /etc/machine-id). Hashed,
 * because machine-id(5) is confidential.
 */
export async function machineId(files: readonly string[] = sources): Promise<string | undefined> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  const names = texts.map((text) => text.trim());
  if (!names[0]) return undefined;
  return createHash('sha256')
    .update(JSON.stringify(['k3s-daas', ...names]))
    .digest('hex');
}
