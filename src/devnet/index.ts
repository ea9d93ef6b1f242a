/** The development chain: Sui's gRPC-web protocol on the SDK's own message types, with its state in memory. */
export { type Devnet, type DevnetOptions, startDevnet } from './devnet.ts';
export type { GivenCoin } from './faucet.ts';
export type { Middleware } from './grpc-web.ts';
export { RpcStatus } from './rpc-error.ts';
