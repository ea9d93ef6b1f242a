import { dirname } from 'node:path';
import { quoteWord } from './unit-words.ts';

/**
 * The one source of every unit: `k3s-daas install` writes them, `deploy/` and docs/getting-started.md show them
 * (units.test.ts compares).
 */

/** k3s' own name: k3s-killall.sh stops `k3s*.service` before it kills the pods, and would miss another one. */
export const WORKER_UNIT = 'k3s-agent';
export const GATEWAY_UNIT = 'k3s-daas-gateway';
export const AUTHORIZER_UNIT = 'k3s-daas-authorizer';
export const FENCE_UNIT = 'k3s-daas-fence';

export const DEFAULT_PROGRAM = '/usr/local/bin/k3s-daas';
export const SYSTEMD_DIR = '/etc/systemd/system';
export const OPENRC_DIR = '/etc/init.d';

/** Where k3s' own installer keeps the variables of a unit, by service manager. */
export const environmentFileOf = (unit: string, manager: 'systemd' | 'openrc'): string =>
  manager === 'systemd' ? `${SYSTEMD_DIR}/${unit}.service.env` : `/etc/rancher/k3s/${unit}.env`;

export interface UnitOptions {
  /** Path of the launcher. */
  readonly program?: string;
  /** Flags of `k3s agent`, after `k3s-daas agent`. */
  readonly flags?: readonly string[];
}

/**
 * k3s' own unit for an agent (k3s install.sh), with our program in its place. READY=1 comes from k3s, a child of the main
 * process: NotifyAccess=all. A core dump would hold the wallet key: LimitCORE=0.
 */
export function workerUnit({ program = DEFAULT_PROGRAM, flags = [] }: UnitOptions = {}): string {
  return `[Unit]
Description=K3s-DaaS worker
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=all
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-${environmentFileOf(WORKER_UNIT, 'systemd')}
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=${[program, 'agent', ...flags].map(quoteWord).join(' ')}
Restart=always
RestartSec=5s
RestartPreventExitStatus=77 78
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=0
TasksMax=infinity
TimeoutStartSec=0
TimeoutStopSec=90

[Install]
WantedBy=multi-user.target
`;
}

export interface GatewayUnitOptions extends Pick<UnitOptions, 'program'> {
  /** What the gateway reads below /var/lib/rancher, where nothing else is visible to it. */
  readonly serverCaFile?: string | undefined;
  /** `gateway.stateDir`. */
  readonly stateDir?: string;
}

const DEFAULT_STATE_DIR = '/var/lib/k3s-daas-gateway';
const DEFAULT_CA_FILE = '/var/lib/rancher/k3s/server/tls/server-ca.crt';

/**
 * The gateway is uid 0, so that it may read the server's CA and its own files as they are, and nothing more: without any
 * capability, on a read-only machine, with k3s' credentials out of sight. Not MemoryDenyWriteExecute: V8 compiles at run time.
 */
export function gatewayUnit({
  program = DEFAULT_PROGRAM,
  serverCaFile = DEFAULT_CA_FILE,
  stateDir = DEFAULT_STATE_DIR,
}: GatewayUnitOptions = {}): string {
  return `[Unit]
Description=K3s-DaaS gateway
Wants=network-online.target
After=network-online.target k3s.service

[Service]
Type=exec
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-${environmentFileOf(GATEWAY_UNIT, 'systemd')}
ExecStart=${quoteWord(program)} gateway run
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=5s
TimeoutStopSec=30
LimitNOFILE=1048576
LimitCORE=0
UMask=0077
${stateLines(stateDir)}
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
TemporaryFileSystem=/var/lib/rancher:ro
BindReadOnlyPaths=-${quoteWord(serverCaFile)}
InaccessiblePaths=-/etc/rancher
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
`;
}

export interface AuthorizerUnitOptions extends Pick<UnitOptions, 'program'> {
  /** Where the API server's files go; it has to be there. */
  readonly directory?: string;
  /** The agent directory of the k3s server. */
  readonly certificates?: string;
  /** `gateway.authorizer.serverCertificates` */
  readonly fingerprintsFile?: string;
  /** Where the gateway writes keys and bans. */
  readonly gatewayFiles?: string;
  /** The gateway's configuration, unless it is at its default place. */
  readonly configFile?: string | undefined;
  /** Kubernetes 1.32 or 1.33. */
  readonly isOldServer?: boolean;
}

const DEFAULT_AUTHORIZATION_DIR = '/var/lib/rancher/k3s/server/k3s-daas';
const DEFAULT_AGENT_DIR = '/var/lib/rancher/k3s/agent';

/**
 * The helper that follows the gateway's bans on a k3s server: root, because only root may write what the API server asks and read
 * the server's certificates, and nothing more. It writes two directories, reads one of another user, and has no network.
 */
export function authorizerUnit({
  program = DEFAULT_PROGRAM,
  directory = DEFAULT_AUTHORIZATION_DIR,
  certificates = DEFAULT_AGENT_DIR,
  fingerprintsFile = '/run/k3s-daas/server-certificates.json',
  gatewayFiles = `${DEFAULT_STATE_DIR}/authorizer`,
  configFile,
  isOldServer = false,
}: AuthorizerUnitOptions = {}): string {
  const words = [
    program,
    'gateway',
    'authorizer',
    ...(configFile === undefined ? [] : ['--config', configFile]),
    ...(directory === DEFAULT_AUTHORIZATION_DIR ? [] : ['--dir', directory]),
    ...(certificates === DEFAULT_AGENT_DIR ? [] : ['--certificates', certificates]),
    ...(isOldServer ? ['--old-server'] : []),
  ];
  const fingerprintsDirectory = dirname(fingerprintsFile);
  return `[Unit]
Description=K3s-DaaS authorization files of the k3s server
After=${GATEWAY_UNIT}.service

[Service]
Type=exec
ExecStart=${words.map(quoteWord).join(' ')}
Restart=always
RestartSec=5s
LimitCORE=0
UMask=0077
${
  fingerprintsDirectory === '/run/k3s-daas'
    ? 'RuntimeDirectory=k3s-daas\nRuntimeDirectoryMode=0755\nRuntimeDirectoryPreserve=yes'
    : `ReadWritePaths=${quoteWord(fingerprintsDirectory)}`
}
ReadWritePaths=${quoteWord(directory)}
ReadOnlyPaths=${quoteWord(certificates)} -${quoteWord(gatewayFiles)}
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateNetwork=yes
IPAddressDeny=any
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
MemoryMax=256M

[Install]
WantedBy=multi-user.target
`;
}

export interface FenceUnitOptions extends Pick<UnitOptions, 'program' | 'flags'> {
  /** Where the gateway writes whom to keep out. */
  readonly gatewayFiles?: string;
  /** The gateway's configuration, unless it is at its default place. */
  readonly configFile?: string | undefined;
}

/** The fence of a k3s server: root for the firewall, and nothing else. What it has built stays when it ends. */
export function fenceUnit({
  program = DEFAULT_PROGRAM,
  flags = [],
  gatewayFiles = `${DEFAULT_STATE_DIR}/fence`,
  configFile,
}: FenceUnitOptions = {}): string {
  const words = [
    program,
    'gateway',
    'fence',
    ...(configFile === undefined ? [] : ['--config', configFile]),
    ...flags,
  ];
  return `[Unit]
Description=K3s-DaaS fence of the k3s server
After=network-pre.target ${GATEWAY_UNIT}.service

[Service]
Type=exec
ExecStart=${words.map(quoteWord).join(' ')}
Restart=always
RestartSec=5s
LimitCORE=0
UMask=0077
ReadOnlyPaths=-${quoteWord(gatewayFiles)}
CapabilityBoundingSet=CAP_NET_ADMIN CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
TemporaryFileSystem=/var/lib/rancher:ro
InaccessiblePaths=-/etc/rancher
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
MemoryMax=256M

[Install]
WantedBy=multi-user.target
`;
}

/** systemd makes the default directory; another one has to be there. */
function stateLines(stateDir: string): string {
  if (stateDir !== DEFAULT_STATE_DIR) return `ReadWritePaths=${quoteWord(stateDir)}`;
  return `StateDirectory=${GATEWAY_UNIT}\nStateDirectoryMode=0700`;
}

export interface Credential {
  /** `wallet.key` */
  readonly name: string;
  /** The file it is read from: the key itself, or what systemd-creds made of it. */
  readonly path: string;
  /** The setting that names the file. */
  readonly variable: string;
}

/** A drop-in by which systemd hands keys to the unit (systemd.exec(5), 250 or newer): `%d` is its directory. */
export function credentialsDropIn(credentials: readonly Credential[], isEncrypted: boolean): string {
  const directive = isEncrypted ? 'LoadCredentialEncrypted' : 'LoadCredential';
  const lines = credentials.flatMap(({ name, path, variable }) => [
    `${directive}=${name}:${path}`,
    `Environment=${variable}=%d/${name}`,
  ]);
  return `[Service]\n${lines.join('\n')}\n`;
}

/** OpenRC, as k3s' installer has it: a background service under supervise-daemon. */
export function workerOpenrc({ program = DEFAULT_PROGRAM, flags = [] }: UnitOptions = {}): string {
  return openrcScript({
    unit: WORKER_UNIT,
    program,
    words: ['agent', ...flags],
    depend: '  after network-online\n  want cgroups\n',
    stopSeconds: 90,
  });
}

export function gatewayOpenrc({ program = DEFAULT_PROGRAM }: Pick<UnitOptions, 'program'> = {}): string {
  return openrcScript({
    unit: GATEWAY_UNIT,
    program,
    words: ['gateway', 'run'],
    depend: '  after network-online k3s\n  use k3s\n',
    stopSeconds: 30,
  });
}

interface OpenrcScript {
  readonly unit: string;
  readonly program: string;
  readonly words: readonly string[];
  readonly depend: string;
  readonly stopSeconds: number;
}

/**
 * supervise-daemon knows no exit code that ends a service for good. A host that ends with 77 or 78 does so within seconds: ten
 * such ends in two minutes, and it is left stopped. A host that could not join ends after ten minutes, and is started again.
 */
function openrcScript({ unit, program, words, depend, stopSeconds }: OpenrcScript): string {
  return `#!/sbin/openrc-run

depend() {
${depend}}

supervisor=supervise-daemon
name=${unit}
command=${shellWord(program)}
command_args=${shellWord(words.map(shellWord).join(' '))}
output_log=/var/log/${unit}.log
error_log=/var/log/${unit}.log
pidfile=/var/run/${unit}.pid
respawn_delay=5
respawn_max=10
respawn_period=120
retry=TERM/${stopSeconds}/KILL/5
rc_ulimit='-n 1048576'
ulimit -c 0

set -o allexport
if [ -f /etc/environment ]; then . /etc/environment; fi
if [ -f ${environmentFileOf(unit, 'openrc')} ]; then . ${environmentFileOf(unit, 'openrc')}; fi
set +o allexport
`;
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
