export {
  FakeClock,
  fakeGatewayEntry,
  fakeId,
  fakeParameters,
  type LogRecord,
  memoryJournal,
  RecordingLog,
  settled,
} from '#testing';
export { type Conformance, describePlugin, type TestFunction } from './describe-plugin.ts';
export { FakeAgent, FakeHostControl, fakeIdentity } from './fake-agent.ts';
export { FakeStakeChain } from './fake-chain.ts';
export { FakeGateways, fakeRegistration, unreachable } from './fake-gateway.ts';
export {
  type FakeServices,
  type LoadedPlugin,
  type LoadOptions,
  loadPlugin,
  type RecordedEvent,
} from './load-plugin.ts';
