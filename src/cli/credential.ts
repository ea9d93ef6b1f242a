import { Command } from 'commander';
import { printCredential } from '#login';

/**
 * `k3s-daas credential`, as the command tree explains it. What kubectl runs does not come here: src/start.ts answers it before
 * anything else is loaded.
 */
export function credentialCommand(): Command {
  return new Command('credential')
    .description(
      'For kubectl, as exec plugin: sign a login with the key of your Seal token, print an ExecCredential. Asks no network, writes no file. `k3s-daas kubeconfig` makes the kubeconfig that runs it.',
    )
    .requiredOption('--login <file>', 'the login file, which `k3s-daas stake --for user` writes')
    .option('--any-caller', 'sign also for a caller that does not say which cluster it is for')
    .action(async (options: { readonly login: string; readonly anyCaller?: boolean }) => {
      process.exitCode = await printCredential({
        loginFile: options.login,
        anyCaller: options.anyCaller === true,
      });
    });
}
