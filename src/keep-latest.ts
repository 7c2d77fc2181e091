/** By class. */
const latest = new Map<unknown, object>();

/**
 * Keeps an object, with all that it refers to, until the next one of its class comes.
 *
 * Code is compiled for objects as they are laid out, and goes with the last of them. V8 collects
 * garbage when a process has been at rest for some seconds: where it finds no stream at all, the
 * requests that come next have everything compiled anew. One stream that is over keeps most of it.
 */
export function keepLatest(object: object) {
  latest.set(object.constructor, object);
}
