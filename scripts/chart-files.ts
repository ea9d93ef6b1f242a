import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { setupManifests } from '../src/cluster/index.ts';
import { alertRules, dashboard } from './metrics-page.ts';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  version: string;
};

const IMAGE = 'k3s-daas-gateway';
const HOME = '/var/lib/k3s-daas-gateway';
/** The user of the image (deploy/images/gateway.Containerfile). */
const USER_ID = 65_532;
const labels = { 'app.kubernetes.io/name': IMAGE, 'app.kubernetes.io/part-of': 'k3s-daas' };

interface DaemonSetOptions {
  readonly namespace: string;
  readonly image: string;
  readonly pullPolicy: string;
  readonly directory: string;
  readonly configuration: string;
}

/**
 * The gateway beside each k3s server, on the server's network, since workers reach it at the server's address. Its directory on the
 * server holds configuration, keys, kubeconfig and state, as `gateway setup` leaves them; it belongs to the user of the image.
 */
function daemonSet({ namespace, image, pullPolicy, directory, configuration }: DaemonSetOptions): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: IMAGE, namespace, labels },
    spec: {
      selector: { matchLabels: { 'app.kubernetes.io/name': IMAGE } },
      // Two gateways on one state would be two.
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      template: {
        metadata: { labels },
        spec: {
          nodeSelector: { 'node-role.kubernetes.io/control-plane': 'true' },
          tolerations: [
            { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' },
            { key: 'CriticalAddonsOnly', operator: 'Exists' },
          ],
          priorityClassName: 'system-cluster-critical',
          hostNetwork: true,
          dnsPolicy: 'ClusterFirstWithHostNet',
          // It has a kubeconfig of its own.
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 30,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: USER_ID,
            runAsGroup: USER_ID,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: 'gateway',
              image,
              imagePullPolicy: pullPolicy,
              args: ['run', '--config', `${HOME}/${configuration}`, '--json'],
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              resources: { requests: { cpu: '50m', memory: '160Mi' }, limits: { memory: '1Gi' } },
              volumeMounts: [
                { name: 'home', mountPath: HOME },
                { name: 'tmp', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            // Made by somebody who has read what belongs there; an empty one would start a gateway without keys.
            { name: 'home', hostPath: { path: directory, type: 'Directory' } },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  };
}

const values = `# Where the gateway's image is; nothing publishes it yet (npm run images).
image:
  repository: ${IMAGE}
  # The version of the chart unless set.
  tag: ""
  pullPolicy: IfNotPresent
# On each k3s server, owned by user and group ${USER_ID}: configuration, keys, kubeconfig and state.
directory: ${HOME}
# The configuration's name in there.
configuration: k3s-daas.yaml
# Rights, policies and names' namespaces of the gateway, as \`k3s-daas gateway setup --print\` has them. false where setup was run.
setup: true
# For the Prometheus operator: a ServiceMonitor, its Service, and the alerts as a PrometheusRule. The health port has to listen where
# Prometheus reaches it (gateway.health.host); it answers without a password, so keep the world away from it.
monitoring:
  enabled: false
  # gateway.health.port
  port: 8444
  interval: 30s
  # What the operator selects by, such as release: prometheus.
  labels: {}
# The dashboard as a ConfigMap that Grafana's sidecar finds.
dashboard:
  enabled: false
  labels:
    grafana_dashboard: "1"
`;

/** Metadata of what Prometheus looks for by labels of the operator’s. */
const monitored = `metadata:
  name: ${IMAGE}
  namespace: "{{ .Release.Namespace }}"
  labels:
    app.kubernetes.io/part-of: k3s-daas
{{- with .Values.monitoring.labels }}
{{ toYaml . | indent 4 }}
{{- end }}`;

/**
 * What watches the gateways. The Service has no address of its own: each gateway is asked by itself. Written as text, since YAML has no
 * place for Helm's conditions and lists of labels.
 */
const monitoring = `{{- if .Values.monitoring.enabled }}
apiVersion: v1
kind: Service
metadata:
  name: ${IMAGE}-metrics
  namespace: "{{ .Release.Namespace }}"
  labels:
    app.kubernetes.io/name: ${IMAGE}
    app.kubernetes.io/part-of: k3s-daas
spec:
  clusterIP: None
  selector:
    app.kubernetes.io/name: ${IMAGE}
  ports:
    - name: metrics
      port: {{ .Values.monitoring.port }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
${monitored}
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: ${IMAGE}
  endpoints:
    - port: metrics
      interval: "{{ .Values.monitoring.interval }}"
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
${monitored}
spec:
{{ .Files.Get "files/rules.yaml" | indent 2 }}
{{- end }}
`;

const dashboardTemplate = `{{- if .Values.dashboard.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: ${IMAGE}-dashboard
  namespace: "{{ .Release.Namespace }}"
  labels:
    app.kubernetes.io/part-of: k3s-daas
{{ toYaml .Values.dashboard.labels | indent 4 }}
data:
  k3s-daas.json: |
{{ .Files.Get "files/dashboard.json" | indent 4 }}
{{- end }}
`;

const yaml = (object: object) => stringify(object, { lineWidth: 0 });

/** Every file of the Helm chart and the plain manifest of the gateway, by path. */
export const chartFiles: Readonly<Record<string, string>> = {
  'deploy/chart/Chart.yaml': yaml({
    apiVersion: 'v2',
    name: IMAGE,
    description: 'The gateway of K3s-DaaS beside the servers of a k3s cluster',
    type: 'application',
    version,
    appVersion: version,
    kubeVersion: '>=1.30.0-0',
  }),
  'deploy/chart/values.yaml': values,
  'deploy/chart/files/setup.yaml': setupManifests(),
  'deploy/chart/files/rules.yaml': alertRules(),
  'deploy/chart/files/dashboard.json': dashboard(),
  'deploy/chart/templates/monitoring.yaml': monitoring,
  'deploy/chart/templates/dashboard.yaml': dashboardTemplate,
  'deploy/chart/templates/setup.yaml':
    '{{- if .Values.setup }}\n{{ .Files.Get "files/setup.yaml" }}\n{{- end }}\n',
  'deploy/chart/templates/gateway.yaml': yaml(
    daemonSet({
      namespace: '{{ .Release.Namespace }}',
      image: '{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}',
      pullPolicy: '{{ .Values.image.pullPolicy }}',
      directory: '{{ .Values.directory }}',
      configuration: '{{ .Values.configuration }}',
    }),
  ),
  'deploy/kubernetes/gateway.yaml': yaml(
    daemonSet({
      namespace: 'kube-system',
      image: `${IMAGE}:${version}`,
      pullPolicy: 'IfNotPresent',
      directory: HOME,
      configuration: 'k3s-daas.yaml',
    }),
  ),
};

/** For /var/lib/rancher/k3s/server/manifests: k3s installs the chart by itself. `chart` is the packaged chart. */
export function helmChartManifest(chart: Buffer): string {
  return yaml({
    apiVersion: 'helm.cattle.io/v1',
    kind: 'HelmChart',
    metadata: { name: IMAGE, namespace: 'kube-system' },
    spec: { targetNamespace: 'kube-system', bootstrap: true, chartContent: chart.toString('base64') },
  });
}
