import type { Browser, Page } from 'playwright-core';

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  /** CPU time, in microseconds. */
  tdur?: number;
  args: { name?: string; data?: { frames?: { url: string; processId: number }[] } };
}

/**
 * What a page's main thread did meanwhile: the CPU time of each task, in milliseconds, and how far what
 * was on screen was shifted. CPU time, as the clock also counts what other programs do on the machine.
 */
export async function tasksDuring(browser: Browser, page: Page, action: () => Promise<unknown>) {
  await page.evaluate(() => {
    const shifts: number[] = [];
    Object.assign(window, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) shifts.push((entry as unknown as Shift).value);
    }).observe({ type: 'layout-shift' });
    interface Shift {
      value: number;
    }
  });
  const categories = ['toplevel', 'disabled-by-default-devtools.timeline'];
  await browser.startTracing(page, { categories });
  await action();
  const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as {
    traceEvents: TraceEvent[];
  };
  const frames = traceEvents.flatMap(({ args }) => args.data?.frames ?? []);
  const pid = frames.find(({ url }) => url === page.url())?.processId;
  const main = traceEvents.find(
    ({ name, args, ...event }) =>
      name === 'thread_name' && args.name === 'CrRendererMain' && event.pid === pid,
  );
  if (!main) throw new Error('the trace has no main thread of the page');
  const tasks = traceEvents
    .filter(({ name, pid, tid }) => /RunTask$/.test(name) && pid === main.pid && tid === main.tid)
    .map(({ tdur = 0 }) => tdur / 1000);
  const shifts = await page.evaluate(() => (window as unknown as { shifts: number[] }).shifts);
  return { tasks, shifts };
}
