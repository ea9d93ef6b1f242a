/** A host as it stands in a URL: an IPv6 address has brackets around it (RFC 3986, section 3.2.2). */
export function urlHost(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** `127.0.0.1:8445`, `[::1]:8445` */
export function hostPort(host: string, port: number | string): string {
  return `${urlHost(host)}:${port}`;
}
