import { z } from 'zod';

const DurationMs = z.int().min(0).max(86_400_000);

/** The section `agent` of the configuration: the k3s binary, its flags, and the limits of its supervision. */
export const AgentSettings = z.strictObject({
  /** A path, or a name that is searched on PATH, then in /usr/local/bin and /opt/bin. */
  binary: z.string().min(1).default('k3s'),
  /** Flags of `k3s agent`, passed on as they are. */
  args: z.array(z.string()).default([]),
  /**
   * Socket of the containerd whose pods are this agent's. Default: the one of `--container-runtime-endpoint`, else k3s' own,
   * /run/k3s/containerd/containerd.sock.
   */
  containerdAddress: z.string().startsWith('/').optional(),
  /** The directory of the join token file: a tmpfs, so that a power cut removes it. */
  runtimeDir: z.string().startsWith('/').default('/run/k3s-daas'),
  /** From a start of the agent until its Node is Ready; k3s itself would try for ever. */
  joinDeadlineMs: DurationMs.min(1000).default(300_000),
  /** From SIGTERM until SIGKILL. k3s ends its parts 5 s after itself. */
  stopDeadlineMs: DurationMs.default(30_000),
  /** After this many unrequested ends within the window the host gives up. */
  crashBudget: z
    .strictObject({
      crashes: z.int().min(1).default(6),
      windowMs: DurationMs.min(1000).default(600_000),
    })
    .prefault({}),
  /** The pause before a restart: random between 0 and base × 2^n, at most max. */
  restartDelay: z
    .strictObject({ baseMs: DurationMs.default(2000), maxMs: DurationMs.default(60_000) })
    .prefault({}),
});
export type AgentSettings = z.infer<typeof AgentSettings>;
