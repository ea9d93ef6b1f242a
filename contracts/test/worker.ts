// One compiler in a thread of its own: Move code that never ends takes only this thread with it.
import { parentPort } from 'node:worker_threads';
import { type Files, type Framework, runTests } from './move.ts';

/** What the pool asks for: `framework` stays with the worker from one job to the next. */
export interface Job {
  readonly files: Files;
  readonly framework?: Framework;
}

let framework: Framework | undefined;

parentPort?.on('message', (job: Job) => {
  framework = job.framework ?? framework;
  if (!framework) throw new Error('the first job must bring the framework');
  runTests(job.files, framework).then(
    (result) => parentPort?.postMessage(result),
    (error: unknown) => parentPort?.postMessage({ passed: false, output: '', failure: String(error) }),
  );
});
