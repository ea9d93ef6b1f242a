import { readFile } from 'node:fs/promises';
import type { ServerAuthorization } from '#cluster';
import type { GatewaySection } from './gateway-config.ts';
import { authorizationFile, type ServerPlace } from './server-files.ts';

/** The AuthorizationConfiguration of this machine; `undefined` where there is none that this user may read. */
export function authorizationInPlace(place: ServerPlace): Promise<string | undefined> {
  return readFile(authorizationFile(place), 'utf8').catch(() => undefined);
}

/** What speaks against the authorizer being in force on every server. Pure. */
export function authorizerProblems(
  servers: readonly ServerAuthorization[],
  mode: GatewaySection['authorizer']['mode'],
): readonly string[] {
  return servers.flatMap(({ server, state, isAnswered, isEnforced, detail }) => {
    const subject = `The API server ${server} does not run the authorizer`;
    switch (state) {
      case 'unread':
        return [`The API server ${server} could not be asked what it runs: ${detail}`];
      case 'none':
        return [
          `${subject}: ${detail}. Run \`k3s-daas gateway setup --server-files\` there as root, and restart k3s. Arguments on k3s' command line replace those of its files`,
        ];
      case 'ours':
      case 'another':
        if (!isAnswered)
          return [
            `${subject} at the moment: ${detail}. Check that the gateway runs on that machine, and that /readyz says that its authorizer is well`,
          ];
        return mode === 'enforce' && !isEnforced
          ? [
              `The API server ${server} asks the authorizer, which observes and does not enforce yet: /readyz says why`,
            ]
          : [];
      default:
        return state satisfies never;
    }
  });
}
