import { plainUnit, plainVariables } from '../../src/install/plain-agent.fixture.ts';

/** What k3s' installer leaves of `K3S_URL=… K3S_TOKEN=… sh -s - agent …` (install.sh of k3s). */
export function plainAgent({
  server,
  token,
  flags,
  variables,
  isStandin,
}: {
  readonly server: string;
  readonly token: string;
  readonly flags: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly isStandin: boolean;
}): Readonly<Record<string, string>> {
  return {
    '/etc/systemd/system/k3s-agent.service': plainUnit(flags),
    '/etc/systemd/system/k3s-agent.service.env': plainVariables({ K3S_TOKEN: token, ...variables }),
    '/etc/rancher/k3s/config.yaml': `# the operator's own\nserver: ${server}\nnode-label:\n  - rack=3\n`,
    // The stand-in's READY=1 comes from a child, k3s' own from the main process. k3s in a unit has systemd make the cgroups of pods,
    // and this systemd does not see all hierarchies of cgroup v1.
    [`/etc/systemd/system/k3s-agent.service.d/${isStandin ? 'standin' : 'cgroups'}.conf`]: isStandin
      ? '[Service]\nNotifyAccess=all\n'
      : '[Service]\nUnsetEnvironment=INVOCATION_ID\n',
  };
}
