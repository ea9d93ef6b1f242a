import { setupManifests } from '../src/cluster/index.ts';
import { units } from '../src/install/index.ts';
import { chartFiles } from './chart-files.ts';

/** Every file of deploy/ that is made from source, by its path. */
export const unitFiles: Readonly<Record<string, string>> = {
  'deploy/systemd/k3s-agent.service': units.workerUnit(),
  'deploy/systemd/k3s-daas-gateway.service': units.gatewayUnit(),
  'deploy/systemd/k3s-daas-authorizer.service': units.authorizerUnit(),
  'deploy/systemd/k3s-daas-fence.service': units.fenceUnit(),
  'deploy/openrc/k3s-agent': units.workerOpenrc(),
  'deploy/openrc/k3s-daas-gateway': units.gatewayOpenrc(),
  'deploy/kubernetes/k3s-daas.yaml': setupManifests(),
  ...chartFiles,
};

export const unitsPage = 'docs/getting-started.md';

/** The page with the units as they are: each stands in a block of its own. */
export function withUnits(page: string): string {
  return page.replaceAll(/```ini\n(\[Unit\]\n[\s\S]*?)```/g, (block, text: string) => {
    const description = /^Description=.*$/m.exec(text)?.[0] ?? 'none';
    const unit = Object.values(unitFiles).find((file) => file.includes(`${description}\n`));
    return unit === undefined ? block : `\`\`\`ini\n${unit}\`\`\``;
  });
}
