/** Writes to a Node's status by the identities that all agents share: attacks, and what flannel and k3s write. */

const key = (name: string) => `flannel.alpha.coreos.com/${name}`;
export const addresses = {
  internal: '192.0.2.10',
  internal6: '2001:db8::10',
  external: '198.51.100.10',
  /** Of an interface that the kubelet does not name: `--flannel-external-ip`, or the operator's annotation. */
  overwrite: '198.51.100.77',
  moved: '192.0.2.99',
} as const;
const heartbeat = '2026-01-01T00:00:00Z';
const condition = (type: string, status: string, more: object = {}) => ({
  type,
  status,
  reason: 'Test',
  message: 'test',
  lastHeartbeatTime: heartbeat,
  lastTransitionTime: heartbeat,
  ...more,
});

/** A Node after its kubelet has registered it and k3s has annotated it. */
export const joined = {
  publicIp: key('public-ip'),
  publicIpv6: key('public-ipv6'),
  overwrite: key('public-ip-overwrite'),
  body: (name: string) => ({
    metadata: {
      name,
      labels: { 'kubernetes.io/hostname': name, 'example.com/zone': 'a' },
      annotations: { 'k3s.io/hostname': name, 'example.com/note': 'a' },
    },
  }),
  status: {
    status: {
      addresses: [
        { type: 'InternalIP', address: addresses.internal },
        { type: 'ExternalIP', address: addresses.external },
        { type: 'Hostname', address: 'host' },
      ],
      capacity: { cpu: '2', memory: '1Gi', pods: '110' },
      allocatable: { cpu: '2', memory: '1Gi', pods: '110' },
      conditions: [condition('MemoryPressure', 'False'), condition('Ready', 'True')],
      daemonEndpoints: { kubeletEndpoint: { Port: 10_250 } },
      nodeInfo: {
        machineID: 'm',
        systemUUID: 's',
        bootID: 'b',
        kernelVersion: '6.1',
        osImage: 'o',
        containerRuntimeVersion: 'containerd://2',
        kubeletVersion: 'v1.36.2+k3s1',
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
    },
  },
} as const;

/** flannel's own patch: `metadata.annotations` alone, as a strategic merge patch of the status (pkg/subnet/kube). */
export const flannel = (more: Record<string, string>) => ({
  metadata: {
    annotations: {
      [key('backend-data')]: '{"VNI":1,"VtepMAC":"aa:bb:cc:00:00:01"}',
      [key('backend-type')]: 'vxlan',
      [key('kube-subnet-manager')]: 'true',
      [key('public-ip')]: addresses.internal,
      ...more,
    },
  },
});

const strategic = 'application/strategic-merge-patch+json';
const jsonPatch = 'application/json-patch+json';
const apply = 'application/apply-patch+yaml';

export interface Attack {
  readonly what: string;
  readonly body: unknown;
  /** A merge patch unless given. */
  readonly contentType?: string;
  /** The status unless given. */
  readonly target?: 'status' | 'object';
}

const annotate = (annotations: Record<string, string | null>) => ({ metadata: { annotations } });
const applied = (node: string, more: object) => ({
  apiVersion: 'v1',
  kind: 'Node',
  ...more,
  metadata: { name: node, ...(more as { metadata?: object }).metadata },
});

/** On a Node that has joined, with flannel's annotations. */
export const attacks = (node: string): readonly Attack[] => [
  ...labelAttacks(node),
  ...conditionAttacks,
  ...statusAttacks,
  ...annotationAttacks,
  ...objectAttacks(node),
];

const labelAttacks = (node: string): Attack[] => [
  { what: 'a role', body: { metadata: { labels: { 'node-role.kubernetes.io/control-plane': 'true' } } } },
  { what: 'a label', body: { metadata: { labels: { 'example.com/zone': 'b' } } }, contentType: strategic },
  { what: 'no label', body: { metadata: { labels: { 'example.com/zone': null } } } },
  { what: 'no labels', body: { metadata: { labels: null } } },
  {
    what: 'a label by JSON patch',
    body: [{ op: 'add', path: '/metadata/labels/example.com~1x', value: 'y' }],
    contentType: jsonPatch,
  },
  {
    what: 'a label by server-side apply',
    body: applied(node, { metadata: { labels: { 'example.com/x': 'y' } } }),
    contentType: apply,
  },
];

const conditions = (...list: object[]) => ({ status: { conditions: list } });
const conditionAttacks: Attack[] = [
  { what: 'NotReady', body: conditions(condition('Ready', 'False')), contentType: strategic },
  {
    what: 'a heartbeat alone',
    body: conditions({ type: 'Ready', lastHeartbeatTime: '2030-01-01T00:00:00Z' }),
    contentType: strategic,
  },
  { what: 'a new condition', body: conditions(condition('DiskPressure', 'True')), contentType: strategic },
  { what: 'no Ready', body: conditions({ type: 'Ready', $patch: 'delete' }), contentType: strategic },
  { what: 'no conditions', body: { status: { conditions: null } } },
  {
    what: 'the network unavailable',
    body: conditions(condition('NetworkUnavailable', 'True')),
    contentType: strategic,
  },
  {
    what: 'the network unknown',
    body: conditions(condition('NetworkUnavailable', 'Unknown')),
    contentType: strategic,
  },
];

const status = (what: string, value: object): Attack => ({ what, body: { status: value } });
const statusAttacks: Attack[] = [
  status('addresses', { addresses: [{ type: 'InternalIP', address: '203.0.113.66' }] }),
  status('no addresses', { addresses: null }),
  status('allocatable', { allocatable: { cpu: '64' } }),
  status('capacity', { capacity: { 'example.com/gpu': '8' } }),
  status('the kubelet’s port', { daemonEndpoints: { kubeletEndpoint: { Port: 6_666 } } }),
  status('what runs there', { nodeInfo: { kubeletVersion: 'v1.0.0' } }),
  status('volumes', { volumesAttached: [{ name: 'kubernetes.io/x', devicePath: '' }] }),
  status('volumes in use', { volumesInUse: ['kubernetes.io/x'] }),
  status('images', { images: [{ names: ['evil'], sizeBytes: 1 }] }),
  status('a phase', { phase: 'Terminated' }),
];

const annotationAttacks: Attack[] = [
  { what: 'a foreign public-ip', body: annotate({ [key('public-ip')]: '203.0.113.66' }) },
  { what: 'a foreign public-ipv6', body: annotate({ [key('public-ipv6')]: 'fd00:bad::1' }) },
  { what: 'public-ip-overwrite first', body: annotate({ [key('public-ip-overwrite')]: '203.0.113.66' }) },
  { what: 'public-ipv6-overwrite first', body: annotate({ [key('public-ipv6-overwrite')]: 'fd00:bad::1' }) },
  { what: 'node-public-ip', body: annotate({ [key('node-public-ip')]: '203.0.113.66' }) },
  { what: 'no backend-data', body: annotate({ [key('backend-data')]: null }) },
  { what: 'no annotations', body: { metadata: { annotations: null } } },
  { what: 'out of the mesh', body: annotate({ [key('kube-subnet-manager')]: 'false' }) },
  { what: 'a filled Node', body: annotate({ [key('backend-data')]: 'x'.repeat(4_097) }) },
  { what: 'an annotation', body: annotate({ 'example.com/x': 'y' }), contentType: strategic },
  { what: 'another annotation', body: annotate({ 'example.com/note': 'b' }) },
  { what: 'k3s’ address', body: annotate({ 'k3s.io/internal-ip': '203.0.113.66' }) },
  {
    what: 'the kubelet’s address',
    body: annotate({ 'alpha.kubernetes.io/provided-node-ip': '203.0.113.66' }),
  },
  {
    what: 'two addresses in one',
    body: annotate({ [key('public-ip')]: `${addresses.internal} 203.0.113.66` }),
  },
];

const objectAttacks = (node: string): Attack[] => [
  { what: 'a finalizer', body: { metadata: { finalizers: ['example.com/stay'] } }, contentType: strategic },
  {
    what: 'an owner',
    body: {
      metadata: {
        ownerReferences: [
          { apiVersion: 'v1', kind: 'ConfigMap', name: 'none', uid: '5a5a5a5a-0000-0000-0000-000000000000' },
        ],
      },
    },
    contentType: strategic,
  },
  {
    what: 'taints',
    target: 'object',
    body: { spec: { taints: [{ key: 'example.com/x', effect: 'NoExecute' }] } },
  },
  { what: 'a cordon', target: 'object', body: { spec: { unschedulable: true } } },
  {
    what: 'pod addresses',
    target: 'object',
    body: { spec: { podCIDRs: ['10.42.99.0/24'], podCIDR: '10.42.99.0/24' } },
  },
  {
    what: 'a label of the object',
    target: 'object',
    body: { metadata: { labels: { 'example.com/x': 'y' } } },
  },
  {
    what: 'a condition by server-side apply',
    body: applied(node, conditions(condition('Ready', 'False'))),
    contentType: apply,
  },
];

export interface LegitimateWrite {
  readonly what: string;
  readonly by: 'flannel' | 'kubelet';
  readonly body: unknown;
  readonly target?: 'status' | 'object';
}

/** One after the other on a Node that has joined, as strategic merge patches. */
export const legitimate: readonly LegitimateWrite[] = [
  { what: 'the first join', by: 'flannel', body: flannel({}) },
  { what: 'the same again', by: 'flannel', body: flannel({}) },
  { what: 'nothing at all', by: 'flannel', body: {} },
  {
    what: 'another VTEP after a reboot',
    by: 'flannel',
    body: annotate({ [key('backend-data')]: '{"VNI":1,"VtepMAC":"aa:bb:cc:00:00:02"}' }),
  },
  {
    what: 'that the network is up',
    by: 'flannel',
    body: conditions(
      condition('NetworkUnavailable', 'False', {
        reason: 'FlannelIsUp',
        message: 'Flannel is running on this node',
      }),
    ),
  },
  {
    what: 'a heartbeat between them',
    by: 'kubelet',
    body: conditions(condition('Ready', 'True', { lastHeartbeatTime: '2026-01-01T00:01:00Z' })),
  },
  {
    what: 'k3s’ annotations of the addresses',
    by: 'kubelet',
    target: 'object',
    body: annotate({
      'k3s.io/internal-ip': `${addresses.internal},${addresses.internal6}`,
      'k3s.io/external-ip': addresses.external,
      'k3s.io/node-args': '["agent"]',
    }),
  },
  {
    what: 'two families',
    by: 'flannel',
    body: flannel({
      [key('public-ipv6')]: addresses.internal6,
      [key('backend-v6-data')]: '{"VNI":1,"VtepMAC":"aa:bb:cc:00:00:03"}',
    }),
  },
  { what: 'the external address', by: 'flannel', body: flannel({ [key('public-ip')]: addresses.external }) },
  {
    what: 'another backend',
    by: 'flannel',
    body: flannel({ [key('backend-type')]: 'host-gw', [key('backend-data')]: 'null' }),
  },
  {
    what: '--flannel-external-ip, by k3s with the kubelet’s certificate',
    by: 'kubelet',
    target: 'object',
    body: annotate({ [key('public-ip-overwrite')]: addresses.overwrite }),
  },
  {
    what: 'what the overwrite says',
    by: 'flannel',
    body: flannel({ [key('public-ip')]: addresses.overwrite }),
  },
];

/** An administrator is bound by none of this. */
export const steps = (node: string): ReadonlyArray<readonly [url: string, body: object]> => {
  const url = `/api/v1/nodes/${node}`;
  return [
    [
      url,
      {
        metadata: { labels: { 'example.com/zone': 'c' }, annotations: { [key('public-ip')]: '203.0.113.1' } },
      },
    ],
    [url, { metadata: { finalizers: ['example.com/operator'] } }],
    [url, { metadata: { finalizers: null } }],
    [url, { spec: { unschedulable: true, taints: [{ key: 'example.com/x', effect: 'NoSchedule' }] } }],
    [`${url}/status`, { status: { addresses: [{ type: 'InternalIP', address: '203.0.113.1' }] } }],
  ];
};
