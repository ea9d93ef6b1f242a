import { join } from 'node:path';
import type { Program } from '../world/program.ts';
import { OTHER_MEASUREMENT, writeStandInPolicy } from '../world/stand-in-tee.ts';
import { workerPlugins } from '../world/worker-plugins.ts';
import type { World } from '../world/world.ts';
import type { Reporter } from './reporter.ts';

/** `npm run demo -- --tee dev`: what workers ask of their gateways, and a gateway that does not pass. */
export interface Attesting {
  /** Members of a worker's configuration: it asks the gateway that runs something else first. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly impostorUrl: string;
}

/** Adds a gateway whose evidence does not show what the chain names for it. */
export async function addImpostor(world: World, reporter: Reporter): Promise<Attesting> {
  reporter.chapter('A gateway that runs something else');
  const impostor = await world.addGateway('impostor', { kind: 'sev-snp', measurement: OTHER_MEASUREMENT });
  const policyFile = await writeStandInPolicy(join(world.directory, 'tee-policy.json'), {
    gateways: [world, impostor],
  });
  reporter.happened({
    event: 'impostor.ready',
    facts: { url: impostor.gatewayUrl, gatewayId: impostor.gatewayId, policyFile },
    sentence:
      'the chain names another measurement for it than its evidence shows (a stand-in makes it: nothing is proven here)',
  });
  const plugins = workerPlugins(impostor.gatewayUrl);
  const config = { teeMode: 'dev', attestation: { policyFile }, log: { level: 'debug' }, plugins };
  return { config, impostorUrl: impostor.gatewayUrl };
}

/** The worker has asked the impostor first, and has sent it nothing. */
export async function refusalShown(
  program: Program,
  { impostorUrl }: Attesting,
  say: (event: string, facts: Record<string, unknown>, sentence: string) => void,
): Promise<void> {
  const isRefusal = ({ gatewayUrl, error }: Program['lines'][number]) =>
    gatewayUrl === impostorUrl &&
    (error as { code?: string } | undefined)?.code === 'DAAS_GATEWAY_NOT_ATTESTED';
  const { error } = await program.line('a refusal of the impostor', isRefusal);
  say(
    'gateway.refused',
    { gatewayUrl: impostorUrl, error },
    `refused ${impostorUrl}: its evidence does not hold`,
  );
}
