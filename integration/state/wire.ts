import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A connection that a test cuts, or lets hang as a broken network does. */
export interface Wire extends AsyncDisposable {
  readonly url: string;
  /** Ends what is open, and refuses what comes. */
  cut(): void;
  /** Nothing arrives any more, in either direction, and neither side hears of it. */
  freeze(): void;
  /** As in the beginning; what was held is passed on. */
  mend(): void;
}

/** `keepsAddress`: it listens on every address, and comes to the other end from the one that was dialled. */
export async function wireTo(upstream: string, { keepsAddress = false } = {}): Promise<Wire> {
  const { hostname, port } = new URL(upstream);
  const sockets = new Set<Socket>();
  let mode: 'open' | 'cut' | 'frozen' = 'open';
  const server = createServer((near) => {
    if (mode === 'cut') return near.destroy();
    const localAddress = keepsAddress ? near.localAddress : undefined;
    const far = connect({ port: Number(port), host: hostname, ...(localAddress && { localAddress }) });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.once('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('data', (chunk) => void to.write(chunk));
      if (mode === 'frozen') from.pause();
    }
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, keepsAddress ? '0.0.0.0' : '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      mode = 'cut';
      for (const socket of sockets) socket.destroy();
    },
    freeze() {
      mode = 'frozen';
      for (const socket of sockets) socket.pause();
    },
    mend() {
      mode = 'open';
      for (const socket of sockets) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
