import { isIP } from 'node:net';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '#testing';
import { LONGEST_PROXY_HEADER_BYTES, readProxyHeader } from './proxy-header.ts';

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

function binary({
  command = 0x21,
  family = 0x11,
  body = Buffer.from('c00002010a0000010fa020fb', 'hex') as Buffer,
  values: tlvs = Buffer.alloc(0) as Buffer,
  lengthBytes = -1,
} = {}): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(lengthBytes < 0 ? body.length + tlvs.length : lengthBytes);
  return Buffer.concat([signature, Buffer.from([command, family]), length, body, tlvs]);
}

const overIpv6 = {
  family: 0x21,
  body: Buffer.from(
    '20010db8000000000000000000000001'.concat('20010db800000000000000000000000f', '0fa0', '20fb'),
    'hex',
  ),
};
/** PP2_TYPE_ALPN `http/1.1`, and PP2_TYPE_NOOP. */
const values = Buffer.concat([Buffer.from([1, 0, 8]), Buffer.from('http/1.1'), Buffer.from([4, 0, 0])]);
const ends = { port: 4_000, localPort: 8_443 };
const ipv4 = { address: '192.0.2.1', localAddress: '10.0.0.1', ...ends };
const ipv6 = { address: '2001:db8::1', localAddress: '2001:db8::f', ...ends };

const good = [
  ['version 1 over IPv4', Buffer.from('PROXY TCP4 192.0.2.1 10.0.0.1 4000 8443\r\n'), ipv4],
  ['version 1 over IPv6', Buffer.from('PROXY TCP6 2001:DB8:0::1 2001:db8::f 4000 8443\r\n'), ipv6],
  ['version 2 over IPv4', binary(), ipv4],
  ['version 2 over IPv6', binary(overIpv6), ipv6],
  ['version 2 with values', binary({ values }), ipv4],
  [
    'the longest of version 2',
    binary({ values: Buffer.concat([Buffer.from([4, 1, 0xf9]), Buffer.alloc(505)]) }),
    ipv4,
  ],
] as const;

describe.each(good)('%s', (_name, bytes, peer) => {
  test('is read whole, and what follows it is left', () => {
    const header = { kind: 'header', lengthBytes: bytes.length, peer };
    expect(readProxyHeader(bytes)).toEqual(header);
    expect(readProxyHeader(Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n')]))).toEqual(header);
  });

  test('is incomplete at every byte before its end', () => {
    for (let length = 0; length < bytes.length; length += 1)
      expect(readProxyHeader(bytes.subarray(0, length)), String(length)).toEqual({ kind: 'incomplete' });
  });
});

test('an IPv4 address in IPv6 has the name that the kernel gives it', () => {
  const body = Buffer.from(`${'00000000000000000000ffffc0000201'.repeat(2)}0fa020fb`, 'hex');
  expect(readProxyHeader(binary({ family: 0x21, body }))).toMatchObject({
    peer: { address: '::ffff:192.0.2.1' },
  });
});

const line = (text: string) => Buffer.from(`${text}\r\n`, 'latin1');
test.each([
  ['a request without a header', Buffer.from('G')],
  ['the ClientHello of TLS', Buffer.from([22, 3, 1])],
  ['another word', Buffer.from('PROXZ ')],
  ['a connection that the proxy knows nothing of', line('PROXY UNKNOWN')],
  ['a connection that the proxy knows nothing of, with addresses', line('PROXY UNKNOWN ::1 ::1 1 1')],
  ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(96)}`)],
  ['a line whose end comes after 107 bytes', line(`PROXY TCP6 ${'1'.repeat(96)}`)],
  ['an address of the other family', line('PROXY TCP4 ::1 ::1 1 1')],
  ['an address that is none', line('PROXY TCP4 192.0.2.256 10.0.0.1 1 1')],
  ['an address with a zone', line('PROXY TCP6 fe80::1%eth0 ::1 1 1')],
  ['an address with leading zeros', line('PROXY TCP4 192.000.2.1 10.0.0.1 1 1')],
  ['a port that is none', line('PROXY TCP4 192.0.2.1 10.0.0.1 65536 1')],
  ['a port with a leading zero', line('PROXY TCP4 192.0.2.1 10.0.0.1 01 1')],
  ['two spaces', line('PROXY TCP4  192.0.2.1 10.0.0.1 1 1')],
  ['too few words', line('PROXY TCP4 192.0.2.1 10.0.0.1 1')],
  ['too many words', line('PROXY TCP4 192.0.2.1 10.0.0.1 1 1 1')],
  ['a connection of the proxy itself', binary({ command: 0x20 })],
  ['version 3', binary({ command: 0x31 })],
  ['a datagram', binary({ family: 0x12 })],
  ['a Unix socket', binary({ family: 0x31, body: Buffer.alloc(216) })],
  ['no family', binary({ family: 0x00 })],
  ['a header that is longer than 536 bytes', binary({ lengthBytes: 521 })],
  ['a header that is too short for its addresses', binary({ lengthBytes: 11 })],
  ['a value that is cut off', binary({ values: Buffer.from([1, 0, 9, 0]) })],
  ['half the head of a value', binary({ values: Buffer.from([1, 0]) })],
])('%s is no header', (_name, bytes) => {
  expect(readProxyHeader(bytes)).toMatchObject({ kind: 'refused' });
});

test('whatever comes first, the header is settled within 536 bytes, and names two addresses if it counts', () => {
  const random = seededRandom(0x2f6e2b1);
  const draw = (below: number) => Math.floor(random() * below);
  const wrong: unknown[] = [];
  const kinds = { header: 0, refused: 0, incomplete: 0 };
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.concat([
      good[draw(good.length)]?.[1] ?? Buffer.alloc(0),
      Buffer.alloc(600, draw(256)),
    ]);
    for (let change = draw(4); change > 0; change -= 1) bytes[draw(60)] = draw(256);
    const header = readProxyHeader(bytes.subarray(0, LONGEST_PROXY_HEADER_BYTES));
    kinds[header.kind] += 1;
    if (header.kind !== 'header') continue;
    const { address, localAddress } = header.peer;
    if (header.lengthBytes > LONGEST_PROXY_HEADER_BYTES || !isIP(address) || !isIP(localAddress))
      wrong.push(header);
  }
  expect(wrong).toEqual([]);
  expect(kinds.incomplete).toBe(0);
  expect(Math.min(kinds.header, kinds.refused)).toBeGreaterThan(1_000);
});
