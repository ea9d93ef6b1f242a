import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';

const listPodSandbox = '/runtime.v1.RuntimeService/ListPodSandbox';
/** `ListPodSandboxRequest{filter: {state: {state: SANDBOX_READY}}}` in protobuf (cri-api runtime/v1/api.proto). */
const readySandboxes = Buffer.from([0x0a, 0x02, 0x12, 0x00]);
const deadlineMs = 2_000;
/** A reply of 110 pods takes about 50 KiB. */
const mostBytes = 16 * 1024 * 1024;

/**
 * How many pods run at a container runtime, asked over its CRI socket (gRPC on a Unix socket). Rejects when it does not answer: no
 * socket, another protocol, an error of the runtime.
 */
export async function criPods(socketPath: string, signal?: AbortSignal): Promise<number> {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socketPath) });
  const late = new AbortController();
  // Its end is the end of the timer too: that of an `AbortSignal.timeout` would run on.
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  try {
    const deadline = signal ? AbortSignal.any([late.signal, signal]) : late.signal;
    return itemsOf(messageOfFrame(await call(session, deadline)));
  } finally {
    clearTimeout(timer);
    session.destroy();
  }
}

/** One unary gRPC call: the frame of its reply. */
function call(session: ClientHttp2Session, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  session.on('error', reject);
  const request = session.request(
    {
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: listPodSandbox,
      'content-type': 'application/grpc',
      te: 'trailers',
    },
    { signal },
  );
  const chunks: Buffer[] = [];
  let bytes = 0;
  let status: unknown;
  const noteStatus = (headers: Readonly<Record<string, unknown>>) => {
    status = headers['grpc-status'] ?? status;
  };
  request.on('response', noteStatus);
  request.on('trailers', noteStatus);
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > mostBytes) request.close(constants.NGHTTP2_CANCEL);
    else chunks.push(chunk);
  });
  request.on('error', reject);
  request.on('close', () => {
    if (status === '0') resolve(Buffer.concat(chunks));
    else reject(new Error(`the container runtime answered with gRPC status ${String(status)}`));
  });
  request.end(frameOf(readySandboxes));
  return promise;
}

/** gRPC's frame: a byte that says whether it is compressed, four of length, the message. */
function frameOf(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function messageOfFrame(frame: Buffer): Buffer {
  if (frame.length < 5 || frame[0] !== 0)
    throw new Error('the reply of the container runtime is no gRPC message');
  return frame.subarray(5, 5 + frame.readUInt32BE(1));
}

/** How often field 1, `repeated PodSandbox items`, is in a `ListPodSandboxResponse`. */
export function itemsOf(message: Buffer): number {
  let at = 0;
  let items = 0;
  while (at < message.length) {
    const tag = varint(message, at);
    const length = varint(message, tag.next);
    // Every field of this message is a message itself.
    if ((tag.value & 7) !== 2)
      throw new Error('the reply of the container runtime is not a list of sandboxes');
    if (tag.value >> 3 === 1) items += 1;
    at = length.next + length.value;
  }
  if (at !== message.length) throw new Error('the reply of the container runtime is cut off');
  return items;
}

function varint(bytes: Buffer, from: number): { value: number; next: number } {
  let value = 0;
  for (let index = 0; index < 5; index += 1) {
    const byte = bytes[from + index];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: from + index + 1 };
  }
  throw new Error('the reply of the container runtime has a number that is cut off');
}
