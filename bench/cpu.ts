/** CPU of this process, its threads included, in microseconds. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Does `count` pieces of work, so many `lanes` at the same time; resolves with the CPU and the time of each, in microseconds. */
export async function costOfEach(
  count: number,
  lanes: number,
  work: (index: number) => Promise<unknown>,
): Promise<{ readonly cpuUs: number; readonly us: number }> {
  const [before, startedAtMs] = [cpuUs(), performance.now()];
  const runLane = async (lane: number): Promise<void> => {
    for (let index = lane; index < count; index += lanes) await work(index);
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => runLane(lane)));
  return { cpuUs: (cpuUs() - before) / count, us: ((performance.now() - startedAtMs) * 1_000) / count };
}

export const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits;
