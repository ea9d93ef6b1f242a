import { describeAgentJoin } from './agent-join.suite.ts';
import { standinWorld } from './standin-world.ts';

describeAgentJoin('the stand-in', standinWorld);
