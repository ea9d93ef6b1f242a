import { z } from 'zod';
import { ObjectId } from '#seal';

const port = z.number().int().min(0).max(65_535);
/** A safe regular expression: anchored by us, compiled once, refused when it does not compile. */
const pattern = z.string().max(256).refine(isPattern, 'must be a regular expression');

/**
 * The `gateway` section of the configuration. `src/host` reads it like any other; every member is documented in
 * docs/configuration.md. Durations are ms.
 */
export const GatewayConfig = z.strictObject({
  /** Where workers reach it: TLS 1.3 that the gateway ends itself. */
  listen: z.strictObject({ host: z.string().default('0.0.0.0'), port: port.default(8443) }).prefault({}),
  tls: z.strictObject({
    /** PEM; its key's pin must be the one that the gateway's entry on chain names. */
    certFile: z.string().min(1),
    keyFile: z.string().min(1),
  }),
  /** `/livez` and `/readyz`, plain HTTP; keep it on loopback. */
  health: z.strictObject({ host: z.string().default('127.0.0.1'), port: port.default(8444) }).prefault({}),
  /** State, audit log and, unless `socketPath` says otherwise, the operator's socket; mode 0700. */
  stateDir: z.string().min(1).default('/var/lib/k3s-daas-gateway'),
  /** The operator's Unix socket; default `<stateDir>/operator.sock`. */
  socketPath: z.string().min(1).optional(),
  /** How the Kubernetes API is reached. */
  kubeconfig: z.string().min(1).default('/etc/rancher/k3s/k3s.yaml'),
  /** What workers join: the k3s server as they see it. */
  server: z.url({ protocol: /^https$/ }),
  /**
   * The server's CA bundle (`server/tls/server-ca.crt`), whose hash goes into every join token. Without it the bundle is
   * read from `<server>/cacerts` once, unauthenticated: set it unless the server is on this machine.
   */
  serverCaFile: z.string().min(1).optional(),
  /** This gateway's id in the cluster object on chain: what proofs must be addressed to. */
  gatewayId: z.string().min(1).max(128),
  /** Whom the operator admits. */
  admit: z
    .strictObject({
      /** Sui addresses, or everybody. */
      stakers: z.union([z.literal('any'), z.array(ObjectId)]).default('any'),
      /** The whole node id must match. */
      nodeIdPattern: pattern.default('.*'),
      maxNodes: z.number().int().min(1).max(100_000).default(1000),
    })
    .prefault({}),
  heartbeatIntervalMs: z.number().int().min(100).max(600_000).default(10_000),
  /** k3s sweeps a password Secret without a Node after ten minutes: a credential must end well before. */
  joinCredentialLifeMs: z
    .number()
    .int()
    .min(10_000)
    .max(8 * 60_000)
    .default(8 * 60_000),
  /** How old the facts of an admitted node may be for it to register again while the chain is away. */
  factsGraceMs: z
    .number()
    .int()
    .min(0)
    .max(24 * 3_600_000)
    .default(15 * 60_000),
  /**
   * Whether staked nodes carry the taint `k3s-daas.io/staked=<tier>:NoSchedule`. Without it every pod without an
   * affinity of its own may land on a stranger's machine and show him its secrets.
   */
  taintNodes: z.boolean().default(true),
  /** Runs without the Node CREATE policy (Kubernetes below 1.30): a join credential then admits under any free name. */
  allowUnboundNames: z.boolean().default(false),
  limits: z
    .strictObject({
      /** Requests a second from one address, and how many at once after a pause. */
      addressRate: z.number().positive().default(50),
      addressBurst: z.number().int().positive().default(200),
      /** Accepted proofs a second for one Seal token. */
      tokenRate: z.number().positive().default(2),
      tokenBurst: z.number().int().positive().default(10),
      /** Chain look-ups a second that strangers of one address may cause. */
      strangerRate: z.number().positive().default(1),
      strangerBurst: z.number().int().positive().default(10),
      /** Requests in work at once; beyond that 503. */
      inFlight: z.number().int().positive().default(512),
      /** Admissions in work at once, and how many may wait for their turn. */
      admissions: z.number().int().positive().default(8),
      admissionsWaiting: z.number().int().nonnegative().default(64),
    })
    .prefault({}),
});
export type GatewayConfig = z.infer<typeof GatewayConfig>;

function isPattern(text: string): boolean {
  try {
    new RegExp(`^(?:${text})$`, 'u');
    return true;
  } catch {
    return false;
  }
}
