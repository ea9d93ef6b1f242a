import { access, constants, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Lifetime } from '#base';
import { type Authority, openAuthority } from '../standin/server/authority.ts';
import { KubernetesApi, until } from './kubernetes.ts';
import { ourProgram, Program } from './program.ts';
import { type RealMachine, startNetwork } from './real-machine.ts';
import { type K3s, type Machine, standinMachines } from './standin-k3s.ts';

const dataDir = '/var/lib/rancher/k3s';

export type FlannelBackend = 'host-gw' | 'vxlan' | 'wireguard-native';

export interface RealK3sOptions {
  /** Image archives for every worker: without a registry, pods need at least the pause image. */
  readonly images?: readonly string[];
  /** Whether the server is a Node too, as k3s has it unless told otherwise. */
  readonly isServerNode?: boolean;
  /** Routes, unless given: the machines share one network, and no kernel module is needed. */
  readonly flannelBackend?: FlannelBackend;
  /** Further ones of `k3s server`. */
  readonly serverArgs?: readonly string[];
  /** The gateway runs on the server's machine, as the authorizer needs it: it listens on that machine's loopback. */
  readonly isGatewayOnServer?: boolean;
}

/** A real k3s: the server and every worker on machines of their own, made of namespaces on this one. Needs root. */
export function startRealK3s(
  binary: string,
  options: RealK3sOptions = {},
): (directory: string, life: Lifetime) => Promise<RealK3s> {
  return (directory, life) => start(binary, options, directory, life);
}

/** The real server, a Node itself, with stand-in agents: they cost little, and what decides about them is real. */
export function startRealServer(binary: string): (directory: string, life: Lifetime) => Promise<K3s> {
  return async (directory, life) => ({
    ...(await start(binary, { isServerNode: true }, directory, life)),
    gatewayHost: '127.0.0.1',
    machine: standinMachines(life),
  });
}

export interface RealK3s extends K3s {
  readonly serverMachine: RealMachine;
  /**
   * Ends `k3s server` and starts it again on what it has kept, as a Node of another address if one is given; resolves when it
   * serves.
   */
  restartServer(nodeAddress?: string): Promise<void>;
  /** A machine that was made by `machine`. */
  realMachine(nodeId: string): RealMachine;
}

async function start(
  binary: string,
  {
    images = [],
    isServerNode = false,
    flannelBackend = 'host-gw',
    serverArgs = [],
    isGatewayOnServer = false,
  }: RealK3sOptions,
  directory: string,
  life: Lifetime,
): Promise<RealK3s> {
  await checkBinary(binary);
  const bundle = join(directory, 'k3s-bundle');
  await mkdir(bundle);
  const network = await startNetwork(life);
  const serverMachine = await network.machine('server', join(directory, 'k3s-server'), bundle);
  if (isServerNode) await writeDropIns(serverMachine);
  const server = `https://${serverMachine.address}:6443`;
  const kubeconfig = join(directory, 'admin.kubeconfig');
  async function startServer(nodeAddress: string): Promise<Program> {
    const program = new Program({
      name: 'k3s server',
      command: [...serverMachine.enter, binary],
      args: [
        'server',
        ...serverFlags(nodeAddress, flannelBackend),
        ...serverArgs,
        ...(isServerNode ? [] : ['--disable-agent']),
      ],
      logFile: join(directory, 'k3s-server.log'),
    });
    life.defer('the k3s server', () => program.stop());
    await untilServes(program, serverMachine, server, kubeconfig);
    if (isServerNode) await untilNode(kubeconfig, serverMachine.name);
    return program;
  }
  let program = await startServer(serverMachine.address);

  const machines = new Map<string, Promise<RealMachine>>();
  const settled = new Map<string, RealMachine>();
  async function furnished(nodeId: string, home: string): Promise<RealMachine> {
    const machine = await network.machine(nodeId, join(home, 'machine'), bundle);
    await furnishAgent(machine, bundle, images);
    settled.set(nodeId, machine);
    return machine;
  }
  return {
    server,
    serverCaFile: serverMachine.file(`${dataDir}/server/tls/server-ca.crt`),
    kubeconfig,
    gatewayHost: network.host,
    ...(isGatewayOnServer && {
      gatewayMachine: { host: serverMachine.address, command: [...serverMachine.enter, ...ourProgram] },
    }),
    serverMachine,
    async restartServer(nodeAddress = serverMachine.address) {
      await program.stop();
      program = await startServer(nodeAddress);
    },
    realMachine(nodeId) {
      const machine = settled.get(nodeId);
      if (!machine) throw new Error(`no machine was made for ${nodeId}`);
      return machine;
    },
    // One machine for one node id, however many hosts are configured for it.
    async machine(nodeId, home): Promise<Machine> {
      const making = machines.get(nodeId) ?? furnished(nodeId, home);
      machines.set(nodeId, making);
      const machine = await making;
      return {
        binary,
        args: [`--node-ip=${machine.address}`],
        dataDir: machine.file(dataDir),
        containerdAddress: '/run/k3s/containerd/containerd.sock',
        env: {},
        command: [...machine.enter, ...ourProgram],
      };
    },
  };
}

export interface BareAgentOptions {
  /** A machine was made for it. */
  readonly nodeId: string;
  readonly logFile: string;
  /** Of its Node; that of the machine unless given. */
  readonly address?: string;
}

/** Starts `k3s agent` itself, without our host, by the server's own token. */
export async function startBareAgent(
  binary: string,
  k3s: RealK3s,
  { nodeId, logFile, address }: BareAgentOptions,
): Promise<Program> {
  const machine = k3s.realMachine(nodeId);
  const token = (await readFile(k3s.serverMachine.file(`${dataDir}/server/token`), 'utf8')).trim();
  return new Program({
    name: 'k3s agent',
    command: [...machine.enter, binary],
    args: [
      'agent',
      `--server=${k3s.server}`,
      `--token=${token}`,
      `--node-name=${nodeId}`,
      `--node-ip=${address ?? machine.address}`,
    ],
    logFile,
  });
}

/** What issues client certificates for its API. */
export const clientCaOf = ({ serverMachine }: RealK3s): Promise<Authority> =>
  openAuthority(serverMachine.file(`${dataDir}/server/tls`), 'client-ca');

/** A machine's files, seen from outside. */
type Files = Pick<RealMachine, 'file'>;

/** What an agent finds on its machine: drop-ins for this kernel, and images. `bundle` is where k3s unpacks itself, and has. */
export async function furnishAgent(machine: Files, bundle: string, images: readonly string[]): Promise<void> {
  await writeDropIns(machine);
  if (!(await importsDropIns(bundle))) await writeContainerdTemplate(machine);
  await mkdir(machine.file(`${dataDir}/agent/images`), { recursive: true });
  for (const image of images)
    await copyFile(image, machine.file(`${dataDir}/agent/images/${basename(image)}`));
}

async function checkBinary(binary: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('a real k3s needs root: namespaces, mounts, containers');
  await access(binary, constants.X_OK).catch((cause) => {
    throw new Error(`K3S_BIN: ${binary} is no executable file`, { cause });
  });
}

/** Of a `k3s server` that needs no image from a registry. */
export const NO_REGISTRY_FLAGS = [
  '--disable=coredns,local-storage,metrics-server,servicelb,traefik',
  '--disable-helm-controller',
  '--disable-network-policy',
];

function serverFlags(nodeAddress: string, flannelBackend: string): readonly string[] {
  return [
    ...NO_REGISTRY_FLAGS,
    `--flannel-backend=${flannelBackend}`,
    '--node-name=server',
    `--node-ip=${nodeAddress}`,
    '--write-kubeconfig-mode=600',
  ];
}

/**
 * Whether a k3s server serves joins, for `until`. k3s says that it is ready a second before its supervisor does; the Secret with its
 * own certificate comes after that.
 */
export async function servesJoins(kubeconfig: string): Promise<true | undefined> {
  using api = await KubernetesApi.fromKubeconfig(kubeconfig);
  const { status } = await api.get('/api/v1/namespaces/kube-system/secrets/k3s-serving');
  return status === 200 ? true : undefined;
}

async function untilServes(
  program: Program,
  machine: RealMachine,
  server: string,
  kubeconfig: string,
): Promise<void> {
  const serves = until(
    'k3s server to serve joins',
    async () => {
      const text = await readFile(machine.file('/etc/rancher/k3s/k3s.yaml'), 'utf8');
      await writeFile(kubeconfig, text.replace('https://127.0.0.1:6443', server), { mode: 0o600 });
      return servesJoins(kubeconfig);
    },
    { withinMs: 240_000, everyMs: 250 },
  );
  const ended = program.exited.then(() => {
    throw new Error(`k3s server ended before it served joins:\n${program.tail(30)}`);
  });
  serves.catch(() => undefined);
  ended.catch(() => undefined);
  await Promise.race([serves, ended]);
}

async function untilNode(kubeconfig: string, name: string): Promise<void> {
  using api = await KubernetesApi.fromKubeconfig(kubeconfig);
  await until(`Node ${name}`, async () =>
    (await api.get(`/api/v1/nodes/${name}`)).status === 200 ? true : undefined,
  );
}

/** What this machine's kernel does not grant, said in k3s' own drop-in files. */
async function writeDropIns(machine: Files): Promise<void> {
  // 0x63677270: cgroup2. The kubelet refuses version 1 since 1.35 unless it is told not to, and has no flag for it.
  if ((await stat('/sys/fs/cgroup/cgroup.controllers').catch(() => undefined)) === undefined)
    await writeDropIn(machine, 'kubelet.conf.d/10-cgroup-v1.conf', [
      'apiVersion: kubelet.config.k8s.io/v1beta1',
      'kind: KubeletConfiguration',
      'failCgroupV1: false',
    ]);
  if (!mayLowerOomScore(await readFile('/proc/self/status', 'utf8')))
    await writeDropIn(machine, 'containerd/config-v3.toml.d/10-oom-score.toml', [
      'version = 3',
      "[plugins.'io.containerd.cri.v1.runtime']",
      '  restrict_oom_score_adj = true',
    ]);
}

/** Whether this k3s has containerd read its drop-in directory, as newer ones do. The server has unpacked it by now. */
async function importsDropIns(bundle: string): Promise<boolean> {
  const names = await readdir(bundle);
  const unpacked = names.find((name) => /^[0-9a-f]{64}$/.test(name));
  if (unpacked === undefined) throw new Error(`no k3s was unpacked in ${bundle}: it has ${names.join(', ')}`);
  return (await readFile(join(bundle, unpacked, 'bin', 'k3s'))).includes('imports = ');
}

const writeContainerdTemplate = (machine: Files) =>
  writeDropIn(machine, 'containerd/config-v3.toml.tmpl', [
    `imports = ["${dataDir}/agent/etc/containerd/config-v3.toml.d/*.toml"]`,
    '{{ template "base" . }}',
  ]);

async function writeDropIn(machine: Files, name: string, lines: readonly string[]): Promise<void> {
  const file = machine.file(`${dataDir}/agent/etc/${name}`);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, `${lines.join('\n')}\n`);
}

/** CAP_SYS_RESOURCE (bit 24), which a sandboxed root may lack: pods then cannot be given their OOM score. */
function mayLowerOomScore(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> 24n) & 1n) === 1n;
}
