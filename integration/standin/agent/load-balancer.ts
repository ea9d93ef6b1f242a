import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';

/** k3s' client load balancer: everything the agent asks goes to 127.0.0.1:<port>, and from there to the server, byte by byte. */
export async function startLoadBalancer(port: number, server: URL): Promise<Server> {
  const listener = createServer((client) => {
    const upstream = connect(Number(server.port || 443), server.hostname.replace(/^\[|\]$/g, ''));
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  listener.listen(port, '127.0.0.1');
  await once(listener, 'listening');
  return listener;
}
