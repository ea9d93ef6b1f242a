import { describeNodeWrites } from './node-writes.suite.ts';
import { standinWorld } from './standin-world.ts';

describeNodeWrites('the stand-in', standinWorld);
