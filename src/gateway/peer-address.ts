import { isIP, SocketAddress } from 'node:net';

/**
 * The address of a peer as a firewall takes it: without the zone of a link-local one (`%eth0`), IPv4 as itself (a listener for
 * both families calls it `::ffff:192.0.2.1`), IPv6 in its canonical form (RFC 5952). `undefined` for what is no address.
 */
export function peerAddress(text: string | undefined): string | undefined {
  const bare = text?.split('%')[0] ?? '';
  const family = isIP(bare);
  if (family !== 6) return family === 4 ? bare : undefined;
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  const [, mapped] = /^::ffff:([\d.]+)$/.exec(address) ?? [];
  return mapped ?? address;
}
