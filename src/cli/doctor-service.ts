import { bad, type Check, good, unknown, warn } from './doctor-check.ts';

/** The first Kubernetes with bootstrap tokens in k3s, and the first with the policies that bind node names. */
const oldestMinor = 26;
const policiesMinor = 30;

/** The k3s binary, its settings, and the service that runs it. */
export const serviceChecks: readonly Check[] = [
  {
    id: 'configuration',
    group: 'service',
    what: 'configuration',
    link: 'configuration.md',
    async judge(probes) {
      const { file, nodeId, warnings } = await probes.worker();
      const source = `node ${nodeId}, ${file ?? 'from variables alone'}`;
      if (warnings.length === 0) return good(source);
      return warn(
        `${source}: ${warnings.join('; ')}`,
        'correct what is named; `k3s-daas config` shows every value',
      );
    },
  },
  {
    id: 'k3s',
    group: 'k3s',
    what: 'k3s version and settings',
    link: 'errors.md#k3s-agent',
    async judge(probes) {
      // It has asked k3s, and refused what the gateway decides: server, token, node name.
      const { version, binary } = await probes.k3s();
      const minor = Number(/^v1\.(\d+)\./.exec(version)?.[1] ?? 0);
      const text = `${binary} is ${version} and takes its settings`;
      if (minor < oldestMinor)
        return bad(
          text,
          `install k3s 1.${policiesMinor} or newer: this one cannot join by a bootstrap token`,
        );
      return minor < policiesMinor ? warn(text, `install k3s 1.${policiesMinor} or newer`) : good(text);
    },
  },
  {
    id: 'unit',
    group: 'service',
    what: 'service',
    link: 'install.md',
    async judge(probes) {
      const { active, exitCode, isOurs } = await probes.unit();
      if (active === undefined) return unknown('there is no systemd to ask');
      if (!isOurs) return warn('k3s-agent is not a unit of this program', 'run `k3s-daas install`');
      if (active === 'active') return good('k3s-agent runs');
      if (active === 'activating')
        return warn(
          'k3s-agent starts: its Node is not Ready yet',
          'look at its log: `journalctl -u k3s-agent`',
        );
      return bad(
        `k3s-agent is ${active}${exitCode ? `, it ended with ${exitCode}` : ''}`,
        exitCode === 77 || exitCode === 78
          ? 'correct what the last line of its log names (`journalctl -u k3s-agent`), then run `systemctl start k3s-agent`'
          : 'run `systemctl start k3s-agent`',
      );
    },
  },
  {
    id: 'latch',
    group: 'service',
    what: 'lock-out by a slash',
    link: 'operations.md#a-node-that-was-evicted',
    async judge(probes) {
      const latch = await probes.latch();
      if (!latch) return good('none');
      return bad(
        latch.detail,
        'ask the operator; if the node may come back, stake again: `k3s-daas agent --stake-again`',
      );
    },
  },
];
