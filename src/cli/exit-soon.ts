/** So long a process that has nothing left to do may take to end by itself. */
const patienceMs = 1_000;

/**
 * Ends this process soon: what a plugin forgot to close, or a pod that still holds k3s' output open, would keep a host that
 * has ended alive, and a service manager waiting for its exit code.
 */
export function leaveSoon(exitCode: number): void {
  setTimeout(() => process.exit(exitCode), patienceMs).unref();
}
