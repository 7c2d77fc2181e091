/**
 * Resolves in another task, after what the page has to do meanwhile; soon also in a page that is not
 * seen, whose timers are slow.
 */
export function nextTask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(undefined);
  });
}
