import { AgentSettings, createAgentSupervisor } from '#agent';
import { Secret, silentLog, systemClock } from '#base';
import { openJournal } from '#infrastructure';

/**
 * A host in a process of its own, for tests that kill it: `lonely-host.ts <JSON>`. Says `ready <pid of the agent>`, and goes on
 * until it is killed.
 */
const { settings, nodeId, journal, env, join } = JSON.parse(process.argv[2] ?? '{}');
const supervisor = createAgentSupervisor({
  settings: AgentSettings.parse(settings),
  nodeId,
  journal: (await openJournal(journal)).section('agent'),
  env,
  clock: systemClock,
  random: Math.random,
  log: silentLog,
  emit: (event, fact) => {
    if (event === 'agent.ready') process.stdout.write(`ready ${'pid' in fact ? fact.pid : 0}\n`);
  },
  probeIntervalMs: 50,
});
await supervisor.start(
  { join: join && { ...join, token: new Secret(join.token) }, nodeLabels: {}, taints: [], arguments: [] },
  new AbortController().signal,
);
setInterval(() => undefined, 60_000);
