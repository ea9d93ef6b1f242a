/**
 * The body of a reply, up to a bound: what answers on a port need not be what was asked for, and a reply without end must
 * not fill the memory or the disk. Beyond the bound the connection is closed and an error thrown.
 */
export async function* boundedBody(
  incoming: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  longestBytes: number,
): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of incoming) {
    length += chunk.length;
    // Leaving the loop destroys the stream.
    if (length > longestBytes) throw new Error(`the reply is longer than ${longestBytes} bytes`);
    yield chunk;
  }
}

/** All of such a body. */
export async function readBody(
  incoming: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  longestBytes: number,
): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(boundedBody(incoming, longestBytes)));
}
