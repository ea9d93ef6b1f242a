import { z } from 'zod';

/** `spec.hard` of a ResourceQuota. */
const quota = z.record(z.string().min(1), z.string().min(1));
const sizes = (pods: number, cpu: string, memory: string) => ({
  pods: String(pods),
  'requests.cpu': cpu,
  'limits.cpu': cpu,
  'requests.memory': memory,
  'limits.memory': memory,
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
  placement: z.enum(['staked', 'any']).default('staked').meta({
    description:
      'where their pods may run. staked: on staked nodes alone, not on yours; any: wherever the scheduler puts them',
  }),
  podSecurity: z.enum(['restricted', 'baseline', 'privileged']).default('restricted').meta({
    description: 'the level of Pod Security that their namespaces enforce',
  }),
  roles: z.record(z.string(), z.string().nullable()).default({}).meta({
    description:
      'what a permission is worth in the namespace of its wallet, where it is not the shipped role: the name of a ClusterRole, or null for nothing',
  }),
  quota: z
    .strictObject({
      basic: quota.default(sizes(5, '1', '1Gi')).meta({ description: 'the ResourceQuota of the first tier' }),
      standard: quota.default(sizes(20, '4', '8Gi')).meta({ description: 'of the second' }),
      premium: quota.default(sizes(100, '16', '32Gi')).meta({ description: 'of the third' }),
    })
    .prefault({}),
});
