export type { Endpoint } from './endpoint.ts';
export { allFailed, ChainError, chainUnavailable } from './endpoint-errors.ts';
export {
  type EndpointAddress,
  type EndpointStatus,
  type Endpoints,
  type EndpointsOptions,
  openEndpoints,
} from './endpoints.ts';
export type { EndpointSettings } from './node-fetch.ts';
