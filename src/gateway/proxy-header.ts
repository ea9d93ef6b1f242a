import { isIP, isIPv4, SocketAddress } from 'node:net';

/** Both ends of a client's connection, as the proxy that has accepted it reports them. */
export interface ProxiedPeer {
  readonly address: string;
  readonly port: number;
  /** Where the client has connected to. */
  readonly localAddress: string;
  readonly localPort: number;
}

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'header'; readonly lengthBytes: number; readonly peer: ProxiedPeer };

/** Of a whole header, its TLVs included. The longest that HAProxy sends without a certificate in it has less than half. */
export const LONGEST_PROXY_HEADER_BYTES = 536;

/** The longest line of version 1 is 107 bytes long, its end included (section 2.1). */
const longestLineBytes = 107;
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const fixedBytes = 16;
/** Version 2, command PROXY. LOCAL is of the proxy itself, which has no business here. */
const proxyCommand = 0x21;
const tcpOverIpv4 = 0x11;
const tcpOverIpv6 = 0x21;
const incomplete = { kind: 'incomplete' } as const;

/**
 * Reads the PROXY header at the beginning of a connection, version 1 or 2 (the specification is HAProxy's
 * doc/proxy-protocol.txt). Everything that names no TCP connection is refused, at the first byte that shows it: a connection
 * without an address has no budget that it could count against.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return incomplete;
  return bytes[0] === signature[0] ? readBinary(bytes) : readLine(bytes);
}

function readLine(bytes: Buffer): ProxyHeader {
  const word = 'PROXY ';
  const begun = bytes.subarray(0, word.length).toString('latin1');
  if (!word.startsWith(begun)) return refused('the connection begins with no PROXY header');
  const end = bytes.subarray(0, longestLineBytes).indexOf('\r\n');
  if (end === -1) return bytes.length < longestLineBytes ? incomplete : refused('the line has no end');
  const [, family, address = '', localAddress = '', port = '', localPort = '', ...more] = bytes
    .toString('latin1', 0, end)
    .split(' ');
  // A zone (`%eth0`) is of one machine alone.
  const isOfFamily = (text: string) => isIP(text) === (family === 'TCP4' ? 4 : 6) && !text.includes('%');
  if (family !== 'TCP4' && family !== 'TCP6') return refused('the header names no TCP connection');
  if (more.length > 0 || ![address, localAddress].every(isOfFamily) || ![port, localPort].every(isPort))
    return refused('the line of the header is malformed');
  return {
    kind: 'header',
    lengthBytes: end + 2,
    peer: {
      address: canonical(address),
      port: Number(port),
      localAddress: canonical(localAddress),
      localPort: Number(localPort),
    },
  };
}

function readBinary(bytes: Buffer): ProxyHeader {
  const begun = bytes.subarray(0, signature.length);
  if (!signature.subarray(0, begun.length).equals(begun))
    return refused('the connection begins with no PROXY header');
  const [command, family] = bytes.subarray(signature.length);
  if (command !== undefined && command !== proxyCommand)
    return refused('the header is of another version, or of a connection of the proxy itself');
  if (family !== undefined && family !== tcpOverIpv4 && family !== tcpOverIpv6)
    return refused('the header names no TCP connection');
  if (bytes.length < fixedBytes) return incomplete;
  const lengthBytes = fixedBytes + bytes.readUInt16BE(14);
  if (lengthBytes > LONGEST_PROXY_HEADER_BYTES) return refused('the header is too long');
  const addressBytes = family === tcpOverIpv4 ? 4 : 16;
  const portsAt = fixedBytes + 2 * addressBytes;
  if (lengthBytes < portsAt + 4) return refused('the header is too short for its addresses');
  if (bytes.length < lengthBytes) return incomplete;
  if (!areWhole(bytes.subarray(portsAt + 4, lengthBytes))) return refused('a TLV of the header is cut off');
  const addressAt = (at: number) => addressOf(bytes.subarray(at, at + addressBytes));
  return {
    kind: 'header',
    lengthBytes,
    peer: {
      address: addressAt(fixedBytes),
      port: bytes.readUInt16BE(portsAt),
      localAddress: addressAt(fixedBytes + addressBytes),
      localPort: bytes.readUInt16BE(portsAt + 2),
    },
  };
}

/** Type, length (two bytes), value, each. What they say is not used: a proxy's word on a client is no proof. */
function areWhole(values: Buffer): boolean {
  let at = 0;
  while (at + 3 <= values.length) at += 3 + values.readUInt16BE(at + 1);
  return at === values.length;
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return canonical(bytes.toString('hex').replace(/(.{4})(?!$)/g, '$1:'));
}

/** As the kernel would name it, so that one address has one name. */
function canonical(address: string): string {
  return isIPv4(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address;
}

function refused(reason: string): ProxyHeader {
  return { kind: 'refused', reason };
}
