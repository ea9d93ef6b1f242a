import { credentialFlags, printCredential } from '#login';

/**
 * `k3s-daas credential`, which kubectl runs before each command: on its own, since loading the other commands would take ten
 * times as long as signing. False for what the other commands explain.
 */
export async function runCredential(argv: readonly string[]): Promise<boolean> {
  const flags = argv[0] === 'credential' ? credentialFlags(argv.slice(1)) : undefined;
  if (!flags) return false;
  process.exitCode = await printCredential(flags);
  return true;
}
