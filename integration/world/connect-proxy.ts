import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** What a client asked the proxy for. */
export interface SeenConnect {
  readonly authority: string;
  readonly authorization: string | undefined;
}

export interface ConnectProxyOptions {
  /** Where a connection to an authority (`host:port`) really goes; a refusal without one. */
  readonly route: (authority: string) => number | undefined;
  /** The `Proxy-Authorization` it wants. */
  readonly authorization?: string;
}

/** An HTTP proxy of a few lines that does CONNECT as a company's proxy does, and reads nothing of what runs through it. */
export class ConnectProxy implements AsyncDisposable {
  readonly url: string;
  readonly seen: SeenConnect[] = [];
  /** Every byte that clients sent through tunnels. */
  readonly sent: Buffer[] = [];
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.url = `http://127.0.0.1:${port}`;
    this.#close = close;
  }

  static async start(options: ConnectProxyOptions): Promise<ConnectProxy> {
    const server = createServer((_request, response) => response.writeHead(405).end());
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new ConnectProxy((server.address() as AddressInfo).port, () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
    server.on('connect', (request: IncomingMessage, client: Socket) => {
      const { 'proxy-authorization': authorization } = request.headers;
      const authority = request.url ?? '';
      proxy.seen.push({ authority, authorization });
      const port = options.route(authority);
      if (options.authorization !== undefined && options.authorization !== authorization)
        return void client.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
      if (port === undefined) return void client.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
      const upstream = connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        client.on('data', (chunk: Buffer) => proxy.sent.push(chunk));
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => client.destroy());
      client.on('close', () => upstream.destroy());
    });
    return proxy;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
