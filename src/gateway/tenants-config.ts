import { z } from 'zod';

/** `spec.hard` of a ResourceQuota. */
const quota = z.record(z.string().min(1), z.string().min(1));
/** Objects are counted too: without a number, one wallet could fill the API server's store. */
const sizes = (pods: number, cpu: string, gigabytes: number) => ({
  pods: String(pods),
  'requests.cpu': cpu,
  'limits.cpu': cpu,
  'requests.memory': `${gigabytes}Gi`,
  'limits.memory': `${gigabytes}Gi`,
  'requests.ephemeral-storage': `${gigabytes * 4}Gi`,
  'limits.ephemeral-storage': `${gigabytes * 8}Gi`,
  'requests.storage': `${gigabytes * 10}Gi`,
  persistentvolumeclaims: String(pods),
  // Each revision of a helm release is a Secret.
  secrets: String(pods * 4),
  configmaps: String(pods * 4),
  services: String(pods * 2),
  'count/deployments.apps': String(pods * 2),
  'count/replicasets.apps': String(pods * 20),
  'count/statefulsets.apps': String(pods),
  'count/jobs.batch': String(pods * 4),
  'count/cronjobs.batch': String(pods),
  'count/ingresses.networking.k8s.io': String(pods),
  'services.loadbalancers': '0',
  'services.nodeports': '0',
});

/** `gateway.tenants`: the namespaces of people. */
export const TenantsConfig = z.strictObject({
  enabled: z.boolean().default(false).meta({
    description:
      'make a namespace for each wallet that logs in, with the rights of its permissions in it; off: somebody who logs in has what you bind to the groups',
  }),
  kubeconfig: z.string().min(1).default('/var/lib/k3s-daas-gateway/tenants.kubeconfig').meta({
    description: 'the identity that makes them, apart from the gateway’s own; `gateway setup` writes it',
  }),
  placement: z.enum(['own', 'staked', 'any']).default('staked').meta({
    description:
      'where their pods may run. own: on the staked nodes of the same wallet; staked: on staked nodes alone, not on yours; any: wherever the scheduler puts them',
  }),
  podSecurity: z.enum(['restricted', 'baseline', 'privileged']).default('restricted').meta({
    description: 'the level of Pod Security that their namespaces enforce',
  }),
  roles: z.record(z.string(), z.string().nullable()).default({}).meta({
    description:
      'what a permission is worth in the namespace of its wallet, where it is not the shipped role: the name of a ClusterRole, or null for nothing',
  }),
  ended: z
    .strictObject({
      graceMs: z.int().min(60_000).default(604_800_000).meta({
        description:
          'how long the namespace of a wallet is kept after its last stake has ended; the end is announced in it',
      }),
      remove: z.boolean().default(false).meta({
        description: 'delete the namespace after that; off: it stays until you delete it',
      }),
    })
    .prefault({}),
  quota: z
    .strictObject({
      basic: quota.default(sizes(5, '1', 1)).meta({ description: 'the ResourceQuota of the first tier' }),
      standard: quota.default(sizes(20, '4', 8)).meta({ description: 'of the second' }),
      premium: quota.default(sizes(100, '16', 32)).meta({ description: 'of the third' }),
    })
    .prefault({}),
});
