import { ConfigurationError } from '#base';
import { isInsecure } from '#infrastructure';

/**
 * The base URL of a full node. Throws `DAAS_ENDPOINT_INVALID` for anything but an http(s) URL, and `DAAS_ENDPOINT_INSECURE`
 * for http:// to another machine, where the network between could answer for the chain (both exit 78).
 */
export function endpointUrl(address: string, allowInsecure: boolean): string {
  const parsed = URL.parse(address);
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol) || parsed.username || parsed.search) {
    // The message leaves out a password or a key.
    const shown = withoutSecrets(address);
    throw new ConfigurationError(
      'DAAS_ENDPOINT_INVALID',
      `'${shown}' is not the address of a Sui full node: give a URL such as https://fullnode.testnet.sui.io:443, without a user or a query; a key goes into chain.headersFile or --headers-file`,
      { details: { endpoint: shown } },
    );
  }
  const url = parsed.href.replace(/\/$/, '');
  if (isInsecure(url) && !allowInsecure)
    throw new ConfigurationError(
      'DAAS_ENDPOINT_INSECURE',
      `the endpoint ${url} is http:// and not on this machine, so anybody on the way could answer for the chain: use https://, or allow it with chain.allowInsecure (--allow-insecure)`,
      { details: { endpoint: url } },
    );
  return url;
}

function withoutSecrets(address: string): string {
  return address.replace(/\/\/[^/]*@/, '//[secret]@').replace(/\?.*$/s, '?[secret]');
}
