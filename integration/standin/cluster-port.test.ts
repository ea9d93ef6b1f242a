import { describeKubernetesPort } from './cluster-port.suite.ts';
import { standinWorld } from './standin-world.ts';

describeKubernetesPort('the stand-in', standinWorld);
