import { describeJoining } from './join.suite.ts';
import { standinWorld } from './standin-world.ts';

describeJoining('the stand-in', standinWorld);
