import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GrpcStatusCode } from '@mysten/sui/grpc';
import { messageOf } from './errors.ts';
import { encodeStatus, RpcStatus } from './rpc-error.ts';

/** protobuf-ts' description of a method, as the SDK's service constants carry it. */
interface MethodDescription {
  readonly name: string;
  readonly serverStreaming: boolean;
  readonly I: { fromBinary(bytes: Uint8Array): object };
  readonly O: { create(value?: object): object; toBinary(message: object): Uint8Array };
}

export interface ServiceDescription {
  readonly typeName: string;
  readonly methods: readonly unknown[];
}

export type UnaryHandler = (request: never, signal: AbortSignal) => object | Promise<object>;
export type StreamHandler = (request: never, signal: AbortSignal) => AsyncIterable<object>;

/** A service's methods by name; what is missing answers UNIMPLEMENTED. */
export type Handlers = Readonly<Record<string, UnaryHandler | StreamHandler | undefined>>;

/** Sees every call before it is answered: may answer in its place, delay it, or end it with an error. */
export type Middleware = (
  call: { readonly method: string; readonly request: object; readonly signal: AbortSignal },
  next: () => object | Promise<object> | AsyncIterable<object>,
) => object | Promise<object> | AsyncIterable<object>;

const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
const MESSAGE = 0;
const TRAILERS = 0x80;
const TEXT = 'application/grpc-web-text';

/**
 * gRPC-web over HTTP/1.1, binary and text (base64), unary and server streams.
 * Format: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 */
export class GrpcWebServer {
  readonly #methods = new Map<
    string,
    { method: MethodDescription; handler: UnaryHandler | StreamHandler | undefined }
  >();
  readonly #services = new Set<string>();
  readonly #headers: () => Readonly<Record<string, string>>;
  readonly #middleware: Middleware;

  constructor(options: {
    services: ReadonlyArray<readonly [ServiceDescription, Handlers]>;
    /** Sent with every answer. */
    headers: () => Readonly<Record<string, string>>;
    middleware?: Middleware | undefined;
  }) {
    this.#headers = options.headers;
    this.#middleware = options.middleware ?? ((_call, next) => next());
    for (const [service, handlers] of options.services) {
      this.#services.add(service.typeName);
      for (const method of service.methods as readonly MethodDescription[])
        this.#methods.set(`/${service.typeName}/${method.name}`, {
          method,
          handler: handlers[method.name],
        });
    }
  }

  /** Answers the request if it is a gRPC-web call; false leaves it to others. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const contentType = request.headers['content-type'] ?? '';
    const service = /^\/([^/]+)\/[^/]+$/.exec(request.url ?? '')?.[1] ?? '';
    const isCall = request.method === 'POST' && contentType.startsWith('application/grpc-web');
    if (!this.#services.has(service)) {
      if (isCall) response.writeHead(404).end();
      return isCall;
    }
    // As a node's router answers what is no call, though the path is one of a call.
    if (!isCall) {
      response.writeHead(request.method === 'POST' ? 400 : 405).end();
      return true;
    }
    const isText = contentType.startsWith(TEXT);
    const answer = new Answer(response, isText, this.#headers());
    const gone = new AbortController();
    response.on('close', () => {
      gone.abort();
    });
    try {
      const path = request.url ?? '';
      const found = this.#methods.get(path);
      const handler = found?.handler;
      if (!found || !handler)
        throw new RpcStatus(GrpcStatusCode.UNIMPLEMENTED, `${path} is not implemented by this chain`);
      const message = readMessage(await readBody(request), isText);
      const input = decodeRequest(found.method, message);
      const result = this.#middleware({ method: path.slice(1), request: input, signal: gone.signal }, () =>
        handler(input as never, gone.signal),
      );
      const encode = (output: object) => found.method.O.toBinary(found.method.O.create(output));
      if (isStream(result)) await sendAll(result, answer, encode, gone.signal);
      else await answer.message(encode(await result));
      answer.end();
    } catch (error) {
      if (!gone.signal.aborted) answer.fail(asStatus(error));
    }
    return true;
  }
}

/** A stream is open, and its subscription runs, before its first message: a reader that sees headers misses nothing. */
async function sendAll(
  stream: AsyncIterable<object>,
  answer: Answer,
  encode: (item: object) => Uint8Array,
  gone: AbortSignal,
): Promise<void> {
  const items = stream[Symbol.asyncIterator]();
  try {
    let next = items.next();
    answer.open();
    for (let item = await next; !item.done && !gone.aborted; item = await next) {
      await answer.message(encode(item.value));
      next = items.next();
    }
  } finally {
    await items.return?.();
  }
}

const isStream = (result: object): result is AsyncIterable<object> => Symbol.asyncIterator in result;

function asStatus(error: unknown): RpcStatus {
  if (error instanceof RpcStatus) return error;
  return new RpcStatus(GrpcStatusCode.INTERNAL, `the development chain failed: ${messageOf(error)}`);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES)
      throw new RpcStatus(
        GrpcStatusCode.OUT_OF_RANGE,
        `a request may have at most ${MAX_REQUEST_BYTES} bytes`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function readMessage(body: Buffer, isText: boolean): Uint8Array {
  const bytes = isText ? Buffer.from(body.toString('latin1'), 'base64') : body;
  if (bytes.length < 5 || bytes[0] !== MESSAGE || bytes.length < 5 + bytes.readUInt32BE(1))
    throw new RpcStatus(GrpcStatusCode.INTERNAL, 'the body is no gRPC-web message');
  return bytes.subarray(5, 5 + bytes.readUInt32BE(1));
}

function decodeRequest(method: MethodDescription, message: Uint8Array): object {
  try {
    return method.I.fromBinary(message);
  } catch (error) {
    throw new RpcStatus(
      GrpcStatusCode.INTERNAL,
      `the body is no ${method.name} request: ${messageOf(error)}`,
    );
  }
}

/** One answer: its frames, or, when nothing was sent yet, an error in the headers alone. */
class Answer {
  readonly #response: ServerResponse;
  readonly #isText: boolean;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(response: ServerResponse, isText: boolean, headers: Readonly<Record<string, string>>) {
    this.#response = response;
    this.#isText = isText;
    this.#headers = {
      ...headers,
      'content-type': isText ? `${TEXT}+proto` : 'application/grpc-web+proto',
    };
  }

  /** Sends one message; waits when the reader is slower than the chain. */
  async message(bytes: Uint8Array): Promise<void> {
    this.open();
    if (!this.#response.write(this.#frame(MESSAGE, bytes)) && !this.#response.closed)
      await Promise.race([once(this.#response, 'drain'), once(this.#response, 'close')]);
  }

  end(): void {
    this.open();
    this.#response.end(this.#frame(TRAILERS, Buffer.from('grpc-status: 0\r\n')));
  }

  fail(status: RpcStatus): void {
    const trailers = trailersOf(status);
    if (this.#response.headersSent) {
      const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`);
      this.#response.end(this.#frame(TRAILERS, Buffer.from(lines.join(''))));
      return;
    }
    this.#response.writeHead(200, { ...this.#headers, ...trailers, 'content-length': '0' });
    this.#response.end();
  }

  /** Sends the headers, if they are not sent yet. */
  open(): void {
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, this.#headers);
      this.#response.flushHeaders();
    }
  }

  #frame(flag: number, payload: Uint8Array): Buffer | string {
    const header = Buffer.alloc(5);
    header[0] = flag;
    header.writeUInt32BE(payload.length, 1);
    const frame = Buffer.concat([header, payload]);
    return this.#isText ? frame.toString('base64') : frame;
  }
}

function trailersOf(status: RpcStatus): Record<string, string> {
  return {
    'grpc-status': String(status.code),
    'grpc-message': encodeURIComponent(status.message),
    'grpc-status-details-bin': Buffer.from(encodeStatus(status)).toString('base64').replace(/=+$/, ''),
  };
}
