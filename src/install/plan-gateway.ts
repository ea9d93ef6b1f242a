import { formatEnvironmentFile, parseEnvironmentFile, serviceVariables } from './environment-file.ts';
import { dropInPath, type MachineFacts, unitPath } from './facts.ts';
import { type HelpTexts, helpSteps } from './help-files.ts';
import { type KeyMode, keySteps } from './keys.ts';
import {
  changes,
  directoriesFor,
  expectManager,
  keepReplaced,
  serviceOf,
  type Wanted,
} from './plan-parts.ts';
import type { Plan, Step } from './steps.ts';
import { environmentFileOf, GATEWAY_UNIT, gatewayOpenrc, gatewayUnit } from './units.ts';

export interface GatewayRequest {
  readonly program: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** From the configuration: what the unit must reach. */
  readonly stateDir: string;
  readonly serverCaFile: string | undefined;
  readonly tlsKeyFile: string;
  /** undefined: as it is. */
  readonly keyMode: KeyMode | undefined;
  readonly help: HelpTexts;
  readonly skipStart: boolean;
  readonly skipEnable: boolean;
}

/** What makes this machine run a gateway. A server of k3s may, and should, be on it. */
export function planGateway(facts: MachineFacts, request: GatewayRequest): Plan {
  const manager = expectManager(facts);
  const environmentFile = environmentFileOf(GATEWAY_UNIT, manager.kind);
  const earlier = parseEnvironmentFile(facts.files.get(environmentFile)?.text ?? '');
  const key = { name: 'gateway.key', path: request.tlsKeyFile, variable: 'K3S_DAAS_GATEWAY_TLS_KEY_FILE' };
  const keys = keySteps('gateway', request.keyMode, [key], manager, facts);
  const { program, stateDir, serverCaFile } = request;
  const wanted: readonly Wanted[] = [
    {
      path: environmentFile,
      content: formatEnvironmentFile(ownVariables(earlier, request.environment)),
      mode: 0o600,
      why: 'the variables of the unit',
    },
    ...keys.files.map((file) => ({ ...file, path: dropInPath('gateway') })),
    {
      path: unitPath('gateway', manager.kind),
      content:
        manager.kind === 'systemd'
          ? gatewayUnit({ program, stateDir, serverCaFile })
          : gatewayOpenrc({ program }),
      mode: manager.kind === 'systemd' ? 0o644 : 0o755,
      why: 'the unit',
    },
  ];
  const writes = changes(facts, wanted);
  const isChanged = writes.length + keys.steps.length > 0 || (facts.record?.pending ?? null) !== null;
  const kept = keepReplaced(
    facts,
    'gateway',
    writes.map(({ path }) => path),
    null,
    isChanged ? 'change' : null,
  );
  const service = serviceOf(manager.kind, GATEWAY_UNIT);
  const start: Step[] =
    request.skipStart || (facts.isActive && !isChanged)
      ? []
      : [service.start(60_000, 'nodes run on while it restarts')];
  return {
    steps: [
      ...kept.steps,
      ...directoriesFor(writes),
      ...keys.steps,
      ...writes,
      ...(isChanged && manager.isRunning ? service.reload : []),
      ...(request.skipEnable || facts.isEnabled ? [] : [service.enable()]),
      ...start,
      ...kept.end,
      ...helpSteps(facts, request.help),
    ],
    undo: [],
    notes: [],
  };
}

/** Without those of k3s: on a server machine they are the server's. */
function ownVariables(
  earlier: Readonly<Record<string, string>>,
  environment: GatewayRequest['environment'],
): Record<string, string> {
  const { variables } = serviceVariables(earlier, environment);
  return Object.fromEntries(
    Object.entries(variables).filter(([name]) => !/^K3S_(?!DAAS_)|^CONTAINERD_/.test(name)),
  );
}
