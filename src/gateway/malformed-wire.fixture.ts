import { connect as connectPlain, createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import type { Malformed } from './malformed.fixture.ts';

/** What came back; a peer that says nothing, or goes away, says nothing wrong. */
export interface Outcome {
  readonly statuses: readonly number[];
  /** The gateway closed the connection, or reset it. */
  readonly isClosed: boolean;
  readonly text: string;
}

/** How long a lane waits for an answer to what may not have one. */
const quietMs = 120;
const silenceMs = 500;

/** One connection at a time, used again while request and reply are whole. */
export class Lane implements Disposable {
  readonly #port: number;
  #socket: Socket | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  async send(request: Malformed): Promise<Outcome> {
    if (request.layer === 'tcp') {
      const socket = await opened(connectPlain(this.#port, '127.0.0.1'), 'connect');
      return socket ? exchange(socket, request).then((outcome) => over(socket, outcome)) : closed;
    }
    this.#socket ??= await opened(
      connect({ port: this.#port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1.3' }),
      'secureConnect',
    );
    const socket = this.#socket;
    if (!socket) return closed;
    const outcome = await exchange(socket, request);
    if (!request.isWhole || outcome.isClosed || outcome.statuses.length !== 1) {
      socket.destroy();
      this.#socket = undefined;
    }
    return outcome;
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy();
  }
}

const closed: Outcome = { statuses: [], isClosed: true, text: '' };

function over(socket: Socket, outcome: Outcome): Outcome {
  socket.destroy();
  return outcome;
}

/** `undefined`: the gateway does not take the connection. */
function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<Socket | undefined> {
  const { promise, resolve } = Promise.withResolvers<Socket | undefined>();
  socket.once(event, () => resolve(socket));
  socket.on('error', () => resolve(undefined));
  socket.once('close', () => resolve(undefined));
  return promise;
}

async function exchange(socket: Socket, request: Malformed): Promise<Outcome> {
  let text = '';
  let isClosed = socket.destroyed;
  let touchedMs = performance.now();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const onData = (chunk: Buffer) => {
    text += chunk.toString('latin1');
    touchedMs = performance.now();
    if (request.isWhole && isComplete(text, request.method)) end();
  };
  const onClose = () => {
    isClosed = true;
    end();
  };
  socket.on('data', onData);
  socket.once('close', onClose);
  const watch = setInterval(() => {
    const idleMs = performance.now() - touchedMs;
    if (idleMs > (text === '' && request.isWhole ? silenceMs : quietMs)) end();
  }, 20);
  await write(socket, request.pieces);
  await ended;
  clearInterval(watch);
  socket.off('data', onData).off('close', onClose);
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  return { statuses, isClosed: isClosed || /connection: close/i.test(text), text };
}

async function write(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed || !socket.writable) return;
    socket.write(piece);
    // Each in a segment of its own.
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
}

function isComplete(text: string, method: string): boolean {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return false;
  const [, length] = /content-length: (\d+)/i.exec(text.slice(0, headEnd)) ?? [];
  return length !== undefined && (method === 'HEAD' || text.length >= headEnd + 4 + Number(length));
}

/** What a TLS client of this machine says first. */
export async function clientHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (hello) => {
      resolve(hello);
      socket.destroy();
      server.close();
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    connect({ port, host: '127.0.0.1', rejectUnauthorized: false, minVersion: 'TLSv1.3' }).on(
      'error',
      () => undefined,
    );
  });
  return promise;
}
