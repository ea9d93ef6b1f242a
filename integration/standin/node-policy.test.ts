import { describeNodePolicy } from './node-policy.suite.ts';
import { standinWorld } from './standin-world.ts';

describeNodePolicy('the stand-in', standinWorld);
