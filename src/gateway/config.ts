import { z } from 'zod';
import { httpsOriginProblem } from '#base';
import { evidenceSettings } from '#infrastructure';
import { ObjectId } from '#seal';
import { AdmitAttestationConfig } from './attestation-config.ts';
import { StateConfig } from './state-config.ts';
import { TenantsConfig } from './tenants-config.ts';

const port = z.number().int().min(0).max(65_535);
const count = z.number().int().positive();
const rate = z.number().positive();
const file = z.string().min(1);

/**
 * The `gateway` section of the configuration; docs/configuration.md explains it. Every member has a description, which
 * `k3s-daas config` prints. Durations are ms.
 */
export const GatewayConfig = z.strictObject({
  listen: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('0.0.0.0')
        .meta({ description: 'where workers reach it; the gateway terminates TLS 1.3 itself' }),
      port: port.default(8443).meta({ description: '0 takes any free port' }),
      proxySocket: file.optional().meta({
        description:
          'a Unix socket for a proxy on this machine (deploy/haproxy.cfg) that ends TLS at host and port with the gateway’s key and names each client by the PROXY protocol; the gateway then listens there alone',
      }),
    })
    .refine(({ port, proxySocket }) => proxySocket === undefined || port > 0, {
      path: ['port'],
      message: 'must be the proxy’s port where proxySocket is set',
    })
    .prefault({}),
  tls: z.strictObject({
    certFile: file.meta({ description: 'PEM; its key’s pin must be one that the chain names' }),
    keyFile: file.meta({ description: 'PEM, mode 0600' }),
  }),
  health: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .default('127.0.0.1')
        .meta({ description: 'where /livez and /readyz listen; keep it on loopback' }),
      port: port.default(8444).meta({ description: 'plain HTTP; 0 takes any free port' }),
    })
    .prefault({}),
  stateDir: file
    .default('/var/lib/k3s-daas-gateway')
    .meta({ description: 'state, audit file and the operator’s socket; mode 0700' }),
  socketPath: file
    .optional()
    .meta({ description: 'the operator’s Unix socket; unset: <stateDir>/operator.sock' }),
  operators: z
    .strictObject({
      listen: z
        .strictObject({
          host: z
            .string()
            .min(1)
            .default('0.0.0.0')
            .meta({ description: 'where operators on other machines reach it' }),
          port: port
            .default(8448)
            .meta({ description: 'TLS 1.3, certificates of clients; 0 takes any free port' }),
        })
        .optional()
        .meta({ description: 'unset: operators use the socket alone' }),
      directory: file.default('/etc/k3s-daas/operators').meta({
        description:
          'the authority of operators’ certificates and their list; `gateway operator init` makes both',
      }),
    })
    .prefault({}),
  kubeconfig: file.default('/var/lib/k3s-daas-gateway/kubeconfig').meta({
    description: 'how the Kubernetes API is reached; `gateway setup` writes it, with the least rights',
  }),
  server: z
    .string()
    .superRefine((text, context) => {
      // It appears in the command line of every worker's agent.
      const message = httpsOriginProblem(text);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    })
    .meta({ description: 'what workers join: the k3s server as they see it' }),
  serverCaFile: file.optional().meta({
    description:
      'the server’s server/tls/server-ca.crt, whose hash goes into every join token; unset: <server>/cacerts is trusted, so set it unless the server is on this machine',
  }),
  gatewayId: z.string().min(1).max(128).optional().meta({
    description: 'this gateway’s id on chain, which proofs are addressed to; needed by `gateway run`',
  }),
  admit: z
    .strictObject({
      stakers: z
        .union([z.literal('any'), z.array(ObjectId)])
        .default('any')
        .meta({ description: 'the Sui addresses whose nodes are admitted, or any' }),
      nodeIdPattern: z
        .string()
        .max(256)
        .refine(isPattern, 'expected a regular expression')
        .default('.*')
        .meta({ description: 'a regular expression that the whole node id must match' }),
      tellTakenNames: z.boolean().default(false).meta({
        description:
          'true: the challenge reports that a name is the operator’s before a stake is made for it; it also discloses those names to any client',
      }),
      maxNodes: count
        .max(100_000)
        .default(1000)
        .meta({ description: 'staked nodes in the cluster at the same time' }),
      proofAgeMs: z
        .number()
        .int()
        .min(60_000)
        .max(365 * 86_400_000)
        .default(900_000)
        .meta({
          description:
            'while one full node alone answers: how old the last proven change of a stake may be for the first admission of its node',
        }),
      attestation: AdmitAttestationConfig.prefault({}),
    })
    .prefault({}),
  heartbeatIntervalMs: z.number().int().min(100).max(600_000).default(10_000).meta({
    description: 'how often workers report',
  }),
  joinCredential: z.enum(['secret', 'webhook']).default('secret').meta({
    description:
      'where join credentials are: as Secrets of the cluster, or nowhere but in this gateway, which the API server asks (needs tokenReview)',
  }),
  joinCredentialLifeMs: z
    .number()
    .int()
    .min(10_000)
    // k3s deletes a password Secret without a Node after ten minutes: any join credential could claim the name then.
    .max(480_000)
    .default(480_000)
    .meta({ description: 'lifetime of an unused join credential' }),
  factsGraceMs: z.number().int().min(0).max(86_400_000).default(900_000).meta({
    description:
      'while the chain is away: how old the facts of an admitted node may be for it to register again',
  }),
  cordonGraceMs: z
    .number()
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .default(3_600_000)
    .meta({
      description:
        'after how long a running node gets no new pods whose Seal token has expired or whose stake is too low',
    }),
  onProposal: z.enum(['ignore', 'quarantine']).default('ignore').meta({
    description:
      'quarantine: while a slash proposal is open against its stake, a node gets no new pods, and its host is told; one slasher alone can open a proposal',
  }),
  taintNodes: z.boolean().default(true).meta({
    description:
      'staked nodes carry the taint k3s-daas.io/staked=<tier>:NoSchedule; false: any pod may run on a stranger’s machine, whose owner can read its secrets',
  }),
  allowUnboundNames: z.boolean().default(false).meta({
    description:
      'run without the Node CREATE policy (Kubernetes below 1.30): a join credential then admits under any free name',
  }),
  audit: z
    .strictObject({
      heartbeats: z.enum(['hourly', 'full']).default('hourly').meta({
        description:
          'hourly: one line a node and hour (count, first and last sequence, addresses, a hash over the proofs); full: a line each',
      }),
      maxFileBytes: z
        .number()
        .int()
        .min(64 * 1024)
        .default(64 * 1024 * 1024)
        .meta({ description: 'an audit file that has reached this size is set aside and a new one begins' }),
      maxFiles: count
        .max(100_000)
        .default(15)
        .meta({ description: 'earlier audit files that are kept; beyond that the oldest are removed' }),
      anchor: z.enum(['off', 'probes', 'daily']).default('off').meta({
        description:
          'puts the end of the audit file on chain, so that a state and an audit file that were put back together are found. probes: in the probes of chain.probe; daily: also in one a day, for which chain.probe.keyFile pays',
      }),
    })
    .prefault({}),
  authorizer: z
    .strictObject({
      mode: z.enum(['off', 'observe', 'enforce']).default('off').meta({
        description:
          'the authorizer webhook. observe: refuses nothing and writes down what enforce would refuse; enforce: begins once every Ready Node is vouched for or listed',
      }),
      port: port.default(8446).meta({ description: 'on 127.0.0.1; the API server asks there' }),
      impersonators: z
        .array(
          z
            .string()
            .regex(/^system:serviceaccount:[^:]+:[^:]+$/, 'expected system:serviceaccount:NAMESPACE:NAME'),
        )
        .default([])
        .meta({ description: 'service accounts that may act as the node that their pod runs on' }),
      ordinaryAgents: z.boolean().default(false).meta({
        description:
          'there are agents without a stake: certificates of shared identities that nobody vouches for then pass, also those that a slashed worker has minted',
      }),
      serverCertificates: file.default('/run/k3s-daas/server-certificates.json').meta({
        description: 'what `gateway authorizer` writes, run as root on the server',
      }),
    })
    .prefault({}),
  tokenReview: z
    .strictObject({
      enabled: z.boolean().default(false).meta({
        description: 'kubectl with a Seal token: the API server asks this gateway whose login it was shown',
      }),
      port: port.default(8447).meta({ description: 'on 127.0.0.1; the API server asks there' }),
      cacheTtlMs: z.number().int().min(1_000).max(120_000).default(10_000).meta({
        description:
          'the API server’s --authentication-token-webhook-cache-ttl: a login that ended lives on for this and 10 s more',
      }),
    })
    .prefault({}),
  state: StateConfig.prefault({}),
  tenants: TenantsConfig.prefault({}),
  stakedNodes: z.boolean().default(false).meta({
    description:
      'show the workers as StakedNodes in the cluster (`kubectl get sn`); `gateway setup` defines them',
  }),
  attestation: evidenceSettings({
    array: z.array,
    enum: z.enum,
    int: z.int,
    strictObject: z.strictObject,
    string: z.string,
  }).prefault({}),
  fence: z.enum(['off', 'peers']).default('off').meta({
    description:
      'peers: writes down from which addresses banned nodes have connected to the gateway, for `gateway fence` on the servers, which cuts them off in the network',
  }),
  drainMs: z.number().int().min(0).max(10_000).default(0).meta({
    description:
      'how long it goes on answering after it was asked to stop, with /readyz red and connections closed after their reply',
  }),
  diskReserveBytes: z
    .number()
    .int()
    .min(0)
    .default(16 * 1024 * 1024)
    .meta({
      description:
        'space in stateDir reserved for lock-outs on a full disk; no node is admitted while it is used up; 0: none',
    }),
  limits: z
    .strictObject({
      addressRate: rate.default(50).meta({ description: 'requests a second from one address' }),
      addressBurst: count.default(200).meta({ description: 'and how many at once after a pause' }),
      addressConnections: count.default(128).meta({
        description:
          'connections of one address that have shown no valid heartbeat or registration; one more closes its oldest',
      }),
      connections: count.default(2048).meta({
        description:
          'such connections of all addresses; one more closes the oldest of the address that has the most',
      }),
      nodeConnections: count
        .default(4)
        .meta({ description: 'connections of one node; one more closes its oldest' }),
      eventStreams: count.max(100_000).default(10_000).meta({
        description:
          'hosts that hear of changes of their record at once; further ones ask the chain themselves',
      }),
      addressHandshakeRate: rate
        .default(50)
        .meta({ description: 'TLS handshakes a second with one address; beyond that it is cut off' }),
      addressHandshakeBurst: count.default(200).meta({ description: 'and how many at once after a pause' }),
      handshakeRate: rate.default(300).meta({
        description:
          'TLS handshakes a second with all strangers; addresses of known workers have as many for themselves, and so have the first 10 of an address',
      }),
      handshakeBurst: count.default(600).meta({ description: 'and how many at once after a pause' }),
      nodeRate: rate.default(0.1).meta({
        description:
          'registrations a second of one node with the token that is known; a new token does not count',
      }),
      nodeBurst: count.default(10).meta({ description: 'and how many at once after a pause' }),
      tokenRate: rate.default(2).meta({ description: 'accepted proofs a second for one Seal token' }),
      tokenBurst: count.default(10).meta({ description: 'and how many at once after a pause' }),
      strangerRate: rate
        .default(1)
        .meta({ description: 'chain look-ups a second that strangers of one address may cause' }),
      strangerBurst: count.default(10).meta({ description: 'and how many at once after a pause' }),
      lookupRate: rate
        .default(20)
        .meta({ description: 'chain look-ups a second that all strangers together may cause' }),
      lookupBurst: count.default(100).meta({ description: 'and how many at once after a pause' }),
      inFlight: count.default(512).meta({
        description:
          'requests in work at once, those of known workers, other heartbeats and the rest counted apart; beyond that 503. A request is in work once its body is there',
      }),
      addressInFlight: count
        .default(64)
        .meta({ description: 'the same for one address, or one node that is known on its connection' }),
      loopDelayMs: count.default(500).meta({
        description:
          'how far the event loop may be behind (99th percentile of the last seconds); beyond that challenges and registrations from connections without a known worker get 503',
      }),
      admissions: count.default(8).meta({ description: 'admissions in work at once' }),
      admissionsWaiting: z
        .number()
        .int()
        .nonnegative()
        .default(64)
        .meta({ description: 'admissions that wait for their turn; beyond that 503' }),
    })
    .prefault({}),
});
export type GatewayConfig = z.infer<typeof GatewayConfig>;

/** The configuration of `gateway run`, which needs the gateway's id. */
export type RunnableGatewayConfig = GatewayConfig & { readonly gatewayId: string };

function isPattern(text: string): boolean {
  try {
    new RegExp(`^(?:${text})$`, 'u');
    return true;
  } catch {
    return false;
  }
}
