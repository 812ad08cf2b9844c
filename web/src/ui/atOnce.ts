/** Does work on many things, a few at a time; failures do not stop the others. */

/** What has failed and why, in the order of `all`. */
export async function someAtOnce<T>(
  all: readonly T[],
  atOnce: number,
  work: (one: T) => Promise<unknown>,
  progress: (done: number) => void,
): Promise<[T, unknown][]> {
  const failures = new Map<T, unknown>();
  const left = all.values();
  let done = 0;
  const worker = async () => {
    for (const one of left) {
      await work(one).catch((error: unknown) => failures.set(one, error));
      done += 1;
      progress(done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, worker));
  return all.filter((one) => failures.has(one)).map((one) => [one, failures.get(one)]);
}
