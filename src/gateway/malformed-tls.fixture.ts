import type { Draw, Malformed } from './malformed.fixture.ts';
import { bytesOf } from './malformed-parts.fixture.ts';

/** In one piece most of the time, else in many. */
export function split(draw: Draw, bytes: Buffer): readonly Buffer[] {
  if (draw.chance(0.7) || bytes.length === 0) return [bytes];
  const pieces: Buffer[] = [];
  const most = draw.pick([1, 7, 100, 4_000]);
  for (let at = 0; at < bytes.length && pieces.length < 40; ) {
    const next = pieces.length === 39 ? bytes.length : at + 1 + draw.below(most);
    pieces.push(bytes.subarray(at, next));
    at = next;
  }
  return pieces;
}

/** Bytes before any TLS, or a handshake that is none. */
export function brokenTls(draw: Draw, clientHello: Buffer): Malformed {
  const record = (type: number, length: number, body: Buffer) =>
    Buffer.concat([Buffer.from([type, 3, 3, length >> 8, length & 0xff]), body]);
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => draw.below(256)));
  const odd: ReadonlyArray<() => Buffer> = [
    () => noise(1 + draw.below(2_000)),
    () => Buffer.from('GET / HTTP/1.1\r\nHost: gateway\r\n\r\n'),
    () => clientHello.subarray(0, draw.below(clientHello.length)),
    () => bytesOf(draw, clientHello),
    () => Buffer.concat([clientHello, clientHello]),
    () => Buffer.concat([clientHello, noise(300)]),
    () => record(draw.below(256), 5, noise(5)),
    () => record(22, 0xffff, noise(2_000)),
    () => record(22, 0, Buffer.alloc(0)),
    () => record(21, 2, Buffer.from([2, draw.below(256)])),
    () => Buffer.concat([clientHello, record(20, 1, Buffer.from([1])), record(23, 100, noise(100))]),
    () => Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n'),
    () => Buffer.from('\r\n\r\n\u0000\r\nQUIT\n!\u0011 ', 'latin1'),
  ];
  return { kind: 'tls', layer: 'tcp', pieces: split(draw, draw.pick(odd)()), isWhole: false, method: '' };
}
