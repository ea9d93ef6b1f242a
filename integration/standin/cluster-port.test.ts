import { describeClusterPort } from './cluster-port.suite.ts';
import { standinWorld } from './standin-world.ts';

describeClusterPort('the stand-in', standinWorld);
