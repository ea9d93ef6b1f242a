import type { AgentContext } from './agent-context.ts';
import type { AgentPlan } from './agent-plan.ts';
import type { AgentRun } from './agent-run.ts';
import { childEnvironment, composeArguments } from './arguments.ts';
import { findBinary } from './binary.ts';
import { fatalWords, joinTrouble, parseLogLine } from './log-lines.ts';
import { knownServer } from './prepare-start.ts';
import { type AgentProcess, launch } from './process.ts';
import { parseFullToken } from './token-file.ts';

/** Starts one k3s process of the run, and logs and reads every line that it writes. */
export async function launchAgent(
  run: AgentRun,
  plan: AgentPlan,
  { hadJoinCredential }: { readonly hadJoinCredential: boolean },
  context: AgentContext,
): Promise<AgentProcess> {
  const { settings, env, nodeId } = context.options;
  const { nodeLabels, taints, arguments: pluginArguments } = run.request;
  const argv = composeArguments({
    argv: settings.args,
    dataDir: plan.dataDir,
    server: knownServer(context).url,
    tokenFile: context.tokenPath,
    nodeId,
    nodeLabels,
    taints,
    pluginArguments,
  });
  let pid = 0;
  const read = lineReader(run, hadJoinCredential, context);
  const child = await launch({
    binary: await findBinary(settings.binary, env),
    argv,
    env: childEnvironment(env),
    onLine: (line) => read(line, pid),
  });
  pid = child.pid;
  return child;
}

/** Logs a line without the credential, and remembers what it says about the join. */
function lineReader(
  run: AgentRun,
  hadJoinCredential: boolean,
  { options: { log, emit } }: AgentContext,
): (line: string, pid: number) => void {
  const secret = run.request.join && parseFullToken(run.request.join.token)?.credential.reveal();
  const output = log.child({ part: 'k3s' });
  const reported = new Set<string>();
  return (line, pid) => {
    const record = parseLogLine(secret ? line.replaceAll(secret, '[secret]') : line);
    output[record.level](record.message, { pid, k3s: record.fields });
    run.lastFatal = fatalWords(record) ?? run.lastFatal;
    const trouble = joinTrouble(record);
    if (!trouble) return;
    run.lastTrouble = trouble.reason;
    run.isRefused ||= trouble.isRefusal;
    // k3s repeats a refusal every few seconds with other numbers in it: report it once.
    const kind = trouble.reason.replaceAll(/\d+/g, '#');
    if (!trouble.isRefusal || reported.has(kind)) return;
    reported.add(kind);
    emit('agent.refused', { pid, reason: trouble.reason, hadJoinCredential });
  };
}
