import { stat } from 'node:fs/promises';

/** The same for two paths of one file. Throws what the operating system says (ENOENT, EACCES). */
export async function fileIdentity(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true });
  return `${dev}:${ino}`;
}
