import { BlockList, isIP } from 'node:net';
import { ConfigurationError, Secret } from '#base';

/** An HTTP proxy that the environment names for a URL. */
export interface HttpProxy {
  /** Without user and password. */
  readonly url: URL;
  /** The variable or setting it comes from. */
  readonly variable: string;
  /** The value of `Proxy-Authorization`. */
  readonly authorization: Secret | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a URL by HTTPS_PROXY, HTTP_PROXY and NO_PROXY, read as Go reads them, so that k3s and this program agree:
 * upper case before lower case, loopback never goes through a proxy, NO_PROXY takes names, domains, addresses and CIDR
 * ranges. Throws `DAAS_PROXY_INVALID` (exit 78).
 */
export function proxyFor(url: URL, environment: Environment = process.env): HttpProxy | undefined {
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const variable = environment[name] ? name : name.toLowerCase();
  const text = environment[variable];
  if (!text || isExcepted(url, environment.NO_PROXY || environment.no_proxy || '')) return undefined;
  return parseProxy(text, variable);
}

/** A proxy by its URL; `variable` names where the text comes from. Throws `DAAS_PROXY_INVALID` (exit 78). */
export function parseProxy(text: string, variable: string): HttpProxy {
  const parsed = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol) || parsed.hostname === '')
    throw new ConfigurationError(
      'DAAS_PROXY_INVALID',
      `${variable} is not the address of an HTTP proxy: write http://host:port or https://host:port; SOCKS is not supported`,
      { details: { variable } },
    );
  const { username, password } = parsed;
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    url: new URL(parsed.origin),
    variable,
    authorization: username === '' ? undefined : new Secret(`Basic ${Buffer.from(login).toString('base64')}`),
  };
}

/** How a message names a proxy. */
export const proxyText = ({ url, variable }: HttpProxy): string => `the proxy ${url.origin} (${variable})`;

function isExcepted(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isLoopbackHost(url.hostname)) return true;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInRange(entry, host);
  if (isIP(entry) !== 0) return isInRange(`${entry}/${isIP(entry) === 6 ? 128 : 32}`, host);
  const [, name = '', entryPort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(entry) ?? [];
  if (entryPort !== undefined && entryPort !== port) return false;
  const domain = name.replace(/^\*/, '');
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function isInRange(range: string, host: string): boolean {
  const family = isIP(host);
  const [address = '', bits = ''] = range.split('/');
  if (family === 0 || isIP(address) !== family || !/^\d{1,3}$/.test(bits)) return false;
  const type = family === 6 ? 'ipv6' : 'ipv4';
  if (Number(bits) > (family === 6 ? 128 : 32)) return false;
  const ranges = new BlockList();
  ranges.addSubnet(address, Number(bits), type);
  return ranges.check(host, type);
}

/** Whether a URL's host is this machine: traffic to it never leaves the machine. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

/** Plain HTTP to another machine. */
export function isInsecure(address: string): boolean {
  const url = URL.parse(address);
  return url?.protocol === 'http:' && !isLoopbackHost(url.hostname);
}
