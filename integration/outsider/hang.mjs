// Holds connections to a gateway open, in every way there is. It imports nothing of ours: what it shows, anybody can do.
//
//   node hang.mjs '{"host":"127.0.0.1","port":8443,"groups":[{"way":"silent","address":"127.0.0.2","count":128}]}'
//
// Prints {"event":"holding"} when all have begun, {"event":"state", open, served, cut} for each line that it reads from
// standard input, and ends with it.
import { connect as connectTcp } from 'node:net';
import { createInterface } from 'node:readline';
import { connect as connectTls } from 'node:tls';

const { host, port, groups } = JSON.parse(process.argv[2]);
const nodeId = 'outsider';
const challenge = `/api/v1/challenge?node_id=${nodeId}&staker=0x${'51'.repeat(32)}`;
const post = (more = '') =>
  `POST /api/v1/nodes/heartbeat HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n${more}\r\n`;
/** The beginning of a ClientHello: a record that promises 512 bytes. */
const partialHello = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);

/** What is done with a TCP connection. */
const below = {
  silent: () => undefined,
  'partial hello': (socket) => socket.write(partialHello),
  'half closed': (socket) => socket.end(),
  'partial hello, half closed': (socket) => socket.end(partialHello),
  'a hello byte by byte': (socket) => trickle(socket, partialHello.toString('latin1')),
};
/** What is done with a TLS connection. */
const above = {
  'silent after the handshake': () => undefined,
  'half closed after the handshake': (socket) => socket.end(),
  'slow headers': (socket) =>
    trickle(socket, `GET ${challenge} HTTP/1.1\r\nHost: g\r\nX-Filler: ${'f'.repeat(4_000)}`),
  'slow body': (socket) => trickle(socket, 'x'.repeat(1_000), post()),
  'chunked body': (socket) =>
    trickle(
      socket,
      '1\r\nx\r\n'.repeat(200),
      'POST /api/v1/nodes/heartbeat HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    ),
  'no body at all': (socket) => socket.write(post()),
  'slow reader': (socket, tcp) => {
    tcp.pause();
    socket.pause();
    socket.write(`GET ${challenge} HTTP/1.1\r\nHost: g\r\n\r\n`.repeat(150));
  },
  upgrade: (socket) =>
    socket.write(
      `GET ${challenge} HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    ),
  'connect method': (socket) =>
    socket.write('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'),
  'expect continue': (socket) => socket.write(post('Expect: 100-continue\r\n')),
  'expect something else': (socket) => socket.write(post('Expect: the-unexpected\r\n')),
  'idle after a reply': (socket) => socket.write(`GET ${challenge} HTTP/1.1\r\nHost: g\r\n\r\n`),
  'no host': (socket) => socket.write(`GET ${challenge} HTTP/1.1\r\n\r\n`),
  'not HTTP': (socket) => socket.write('\x00\x01\x02\r\n\r\n'),
  'not HTTP, half closed': (socket) => socket.end('\x00\x01\x02\r\n\r\n'),
};

const counts = { begun: 0, open: 0, served: 0, cut: 0 };
const replies = new Map();

function trickle(socket, text, head = '') {
  socket.write(head + text[0]);
  let at = 1;
  const timer = setInterval(() => socket.write(text[at++ % text.length]), 300);
  socket.once('close', () => clearInterval(timer));
}

/** Resolves when it was begun, whatever became of it. */
function hold(way, address) {
  return new Promise((resolve) => {
    // Half open: that the gateway has ended its side is not answered.
    const tcp = connectTcp({ host, port, localAddress: address, allowHalfOpen: true });
    const begun = () => {
      counts.begun += 1;
      resolve();
    };
    tcp.on('error', () => undefined);
    tcp.once('connect', () => {
      counts.open += 1;
      tcp.once('close', () => {
        counts.open -= 1;
        counts.cut += 1;
      });
      if (below[way]) {
        below[way](tcp);
        tcp.resume();
        begun();
        return;
      }
      const socket = connectTls({ socket: tcp, rejectUnauthorized: false, allowHalfOpen: true });
      socket.on('error', () => undefined);
      if (way !== 'slow reader')
        socket.on('data', (chunk) => {
          if (!replies.has(way)) replies.set(way, chunk.toString().split('\r\n\r\n').slice(0, 2).join('\n'));
          counts.served += 1;
        });
      socket.once('secureConnect', () => {
        above[way](socket, tcp);
        begun();
      });
      socket.once('close', begun);
    });
    tcp.once('close', begun);
  });
}

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
await Promise.all(
  groups.flatMap(({ way, address, count }) => {
    if (!below[way] && !above[way]) throw new Error(`unknown way: ${way}`);
    return Array.from({ length: count }, () => hold(way, address));
  }),
);
say({ event: 'holding', ...counts });
for await (const _line of createInterface({ input: process.stdin }))
  say({ event: 'state', ...counts, replies: Object.fromEntries(replies) });
process.exit(0);
