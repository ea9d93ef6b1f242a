export { type Conformance, describePlugin, type TestFunction } from './describe-plugin.ts';
export { FakeAgent, FakeHostControl, fakeIdentity } from './fake-agent.ts';
export { FakeStakeChain, fakeGatewayEntry, fakeId, fakeParameters } from './fake-chain.ts';
export { FakeClock, settle } from './fake-clock.ts';
export { FakeGateways, fakeRegistration, unreachable } from './fake-gateway.ts';
export {
  type FakeServices,
  type LoadedPlugin,
  type LoadOptions,
  loadPlugin,
  type RecordedEvent,
} from './load-plugin.ts';
export { memoryJournal } from './memory-journal.ts';
export { type LogRecord, RecordingLog } from './recording-log.ts';
