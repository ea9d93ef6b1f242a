import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { arch, cpus, release, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { killShim, sandboxId, shimsOf, startShim } from './containers.ts';
import type { AgentFlags } from './flags.ts';
import { healthzAddress } from './healthz.ts';
import { agentFile } from './join.ts';
import { klog } from './log.ts';
import { type Answer, ask, messageOf } from './request.ts';

export interface KubeletOptions {
  readonly flags: AgentFlags;
  readonly url: string;
  readonly containerdAddress: string;
  /** Ids of pods that were asked for by hand (K3S_STANDIN_PODS): no API server knows them. */
  readonly pinnedPods: ReadonlySet<string>;
  /** Every interval of k3s is divided by this. */
  readonly speed: number;
  readonly signal: AbortSignal;
  readonly onReady: () => void;
}

/** healthz, the Node and its heartbeats, and the pods that are bound to it; runs until the signal aborts. */
export async function runKubelet(options: KubeletOptions): Promise<void> {
  const { flags, signal, speed } = options;
  await serveHealthz(flags, signal);
  adoptPods(options);
  await Promise.all([
    keepNode(options),
    every(1000 / speed, signal, () => keepPods(options), 'Error syncing pods'),
    every(10_000 / speed, signal, () => renewLease(options), 'Failed to ensure lease exists, will retry'),
  ]);
}

async function serveHealthz(flags: AgentFlags, signal: AbortSignal): Promise<void> {
  const { host, port } = await healthzAddress(flags);
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/healthz' ? 200 : 404;
    response.end('ok');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  signal.addEventListener('abort', () => {
    server.close();
    server.closeAllConnections();
  });
}

async function keepNode(options: KubeletOptions): Promise<void> {
  const { flags, signal, speed, onReady } = options;
  await register(options);
  await sleep(300 / speed, undefined, { signal });
  let wasReady = false;
  await every(
    10_000 / speed,
    signal,
    async () => {
      const current = await api(options, 'GET', `/api/v1/nodes/${flags.nodeName}`);
      // k3s does not register again, and does not end: it goes on saying so (measured).
      if (current.status === 404) {
        logNotFound(flags.nodeName);
        return;
      }
      await expectOk(current);
      const patch = {
        status: { conditions: conditions(), addresses: addresses(flags), nodeInfo: nodeInfo() },
      };
      await expectOk(await api(options, 'PATCH', `/api/v1/nodes/${flags.nodeName}/status`, patch));
      if (wasReady) return;
      wasReady = true;
      klog('I', 'kubelet_node_status.go:533', 'Fast updating node status as it just became ready');
      onReady();
    },
    'Error updating node status, will retry',
  );
}

function logNotFound(name: string): void {
  klog('E', 'kubelet_node_status.go:474', 'Error updating node status, will retry', {
    err: `error getting node "${name}": nodes "${name}" not found`,
  });
  klog('E', 'kubelet.go:3200', 'Error getting node', { err: `node "${name}" not found` });
}

/** Once in the life of the process; a refusal is retried, more and more slowly, up to 7 s. */
async function register(options: KubeletOptions): Promise<void> {
  const { flags, speed, signal } = options;
  klog('I', 'kubelet_node_status.go:75', 'Attempting to register node', { node: flags.nodeName });
  for (let delayMs = 200; ; delayMs = Math.min(7000, delayMs * 2)) {
    try {
      const made = await api(options, 'POST', '/api/v1/nodes', newNode(flags));
      if (made.status === 409) await expectOk(await api(options, 'GET', `/api/v1/nodes/${flags.nodeName}`));
      else await expectOk(made);
      klog('I', 'kubelet_node_status.go:78', 'Successfully registered node', { node: flags.nodeName });
      return;
    } catch (error) {
      klog('E', 'kubelet_node_status.go:107', 'Unable to register node with API server', {
        err: messageOf(error),
        node: flags.nodeName,
      });
      await sleep(delayMs / speed, undefined, { signal });
    }
  }
}

function newNode(flags: AgentFlags): object {
  const { nodeName } = flags;
  const labels = Object.fromEntries(
    flags.nodeLabels.map((label) => {
      const [key, value = ''] = label.split('=');
      return [key, value];
    }),
  );
  const machine = arch() === 'x64' ? 'amd64' : arch();
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName,
      labels: {
        'beta.kubernetes.io/arch': machine,
        'beta.kubernetes.io/os': 'linux',
        'kubernetes.io/arch': machine,
        'kubernetes.io/hostname': nodeName,
        'kubernetes.io/os': 'linux',
        'node.kubernetes.io/instance-type': 'k3s',
        'beta.kubernetes.io/instance-type': 'k3s',
        ...labels,
      },
    },
    spec: {
      providerID: `k3s://${nodeName}`,
      taints: flags.nodeTaints.map(parseTaint),
    },
    status: { addresses: addresses(flags), capacity: capacity(), allocatable: capacity() },
  };
}

function parseTaint(text: string): object {
  const match = /^([^=:]+)(?:=([^:]*))?:(.+)$/.exec(text);
  if (!match) throw new Error(`invalid taint ${text}`);
  return { key: match[1], ...(match[2] === undefined ? {} : { value: match[2] }), effect: match[3] };
}

function addresses({ nodeIp, nodeName }: AgentFlags): object[] {
  return [
    { type: 'InternalIP', address: nodeIp.split(',')[0] },
    { type: 'Hostname', address: nodeName },
  ];
}

function capacity(): Record<string, string> {
  return { cpu: String(cpus().length), memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: '110' };
}

/** The gateway reads the boot id; the rest is there because the API has no optional members here. */
function nodeInfo(): Record<string, string> {
  const bootID = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return {
    bootID,
    machineID: '',
    systemUUID: '',
    kernelVersion: release(),
    osImage: 'stand-in',
    containerRuntimeVersion: 'containerd://stand-in',
    kubeletVersion: 'v1.36.2+k3s1',
    kubeProxyVersion: '',
    operatingSystem: 'linux',
    architecture: 'amd64',
  };
}

let readySince: string | undefined;
function conditions(): object[] {
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  readySince ??= now;
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: now,
    lastTransitionTime: readySince,
  });
  return [
    condition(
      'MemoryPressure',
      'False',
      'KubeletHasSufficientMemory',
      'kubelet has sufficient memory available',
    ),
    condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
  ];
}

async function renewLease(options: KubeletOptions): Promise<void> {
  const { nodeName } = options.flags;
  const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const spec = {
    holderIdentity: nodeName,
    leaseDurationSeconds: 40,
    renewTime: `${new Date().toISOString().slice(0, -1)}000Z`,
  };
  const renewed = await api(options, 'PATCH', `${path}/${nodeName}`, { spec });
  if (renewed.status !== 404) return expectOk(renewed);
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: nodeName }, spec };
  const made = await api(options, 'POST', path, lease);
  if (made.status !== 409) await expectOk(made);
}

function adoptPods({ containerdAddress }: KubeletOptions): void {
  for (const { id, pid } of shimsOf(containerdAddress))
    klog('I', 'kuberuntime_manager.go:1086', 'Adopted a running pod sandbox', {
      podSandboxID: id,
      pid: String(pid),
    });
}

interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
  };
  readonly status?: { readonly phase?: string };
}

async function keepPods(options: KubeletOptions): Promise<void> {
  const { flags, containerdAddress, pinnedPods } = options;
  const answer = await api(options, 'GET', `/api/v1/pods?fieldSelector=spec.nodeName%3D${flags.nodeName}`);
  await expectOk(answer);
  const { items } = JSON.parse(answer.body.toString()) as { items: Pod[] };
  const shims = new Map(shimsOf(containerdAddress).map((shim) => [shim.id, shim]));
  const wanted = new Set(pinnedPods);
  for (const pod of items) {
    const { namespace, name, uid, deletionTimestamp } = pod.metadata;
    const id = sandboxId(uid);
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    if (deletionTimestamp) {
      const shim = shims.get(id);
      if (shim) killShim(shim);
      await api(options, 'DELETE', path, { gracePeriodSeconds: 0, preconditions: { uid } });
      continue;
    }
    wanted.add(id);
    if (!shims.has(id)) startShim(id, containerdAddress);
    if (pod.status?.phase !== 'Running') await reportRunning(options, path);
  }
  for (const [id, shim] of shims) if (!wanted.has(id)) killShim(shim);
}

async function reportRunning(options: KubeletOptions, path: string): Promise<void> {
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  const status = {
    phase: 'Running',
    startTime: now,
    conditions: [
      { type: 'Initialized', status: 'True', lastTransitionTime: now },
      { type: 'ContainersReady', status: 'True', lastTransitionTime: now },
      { type: 'Ready', status: 'True', lastTransitionTime: now },
      { type: 'PodScheduled', status: 'True', lastTransitionTime: now },
    ],
  };
  await expectOk(await api(options, 'PATCH', `${path}/status`, { status }));
}

/** As the kubelet asks: with its certificate, through the load balancer. */
function api(
  { flags, url, signal }: KubeletOptions,
  method: string,
  path: string,
  body?: object,
): Promise<Answer> {
  const read = (name: string) => readFileSync(agentFile(flags.dataDir, name), 'utf8');
  return ask({
    url: `${url}${path}`,
    method,
    ca: read('server-ca.crt'),
    cert: read('client-kubelet.crt'),
    key: read('client-kubelet.key'),
    signal,
    headers: {
      accept: 'application/json',
      ...(body
        ? {
            'content-type':
              method === 'PATCH' ? 'application/strategic-merge-patch+json' : 'application/json',
          }
        : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
}

async function expectOk({ status, body }: Answer): Promise<void> {
  if (status >= 200 && status < 300) return;
  let message = body.toString().trim();
  try {
    message = (JSON.parse(message) as { message?: string }).message ?? message;
  } catch {
    // The text itself is the message.
  }
  throw new Error(message || `the server answered ${status}`);
}

async function every(
  intervalMs: number,
  signal: AbortSignal,
  body: () => Promise<void>,
  complaint: string,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await body();
    } catch (error) {
      if (signal.aborted) return;
      klog('E', 'kubelet_node_status.go:474', complaint, { err: messageOf(error) });
    }
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}
