import { DaasError, EXIT, messageOf } from '#base';
import { makeCredential } from './credential.ts';

/** The flags of `k3s-daas credential`, or `undefined` for what the command tree has to explain (`--help`, an unknown flag). */
export function credentialFlags(
  args: readonly string[],
): { readonly loginFile: string; readonly anyCaller: boolean } | undefined {
  const rest = [...args];
  let loginFile: string | undefined;
  let anyCaller = false;
  while (rest.length > 0) {
    const flag = rest.shift();
    if (flag === '--any-caller') anyCaller = true;
    else if (flag === '--login' && rest[0] !== undefined) loginFile = rest.shift();
    else return undefined;
  }
  return loginFile === undefined ? undefined : { loginFile, anyCaller };
}

/**
 * Prints the credential. kubectl runs a plugin that fails five times and prints its error output each time, so that is one line:
 * code first, fix last. Resolves with the exit code.
 */
export async function printCredential(flags: {
  readonly loginFile: string;
  readonly anyCaller: boolean;
}): Promise<number> {
  try {
    const { KUBERNETES_EXEC_INFO: execInfo, SSH_AUTH_SOCK: agentSocket } = process.env;
    const credential = await makeCredential({ ...flags, execInfo, agentSocket, nowMs: Date.now() });
    process.stdout.write(`${credential}\n`);
    return EXIT.ok;
  } catch (error) {
    const code = error instanceof DaasError ? error.code : 'DAAS_UNEXPECTED';
    process.stderr.write(`${code}: ${messageOf(error).replaceAll(/\s+/g, ' ')}\n`);
    return error instanceof DaasError ? error.exitCode : EXIT.unexpected;
  }
}
