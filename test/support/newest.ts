import { describe } from '@jest/globals';

/** What the newest lines of the clients need. */
const NEEDED = '22.12';

const isNewEnough = process.versions.node.localeCompare(NEEDED, undefined, { numeric: true }) >= 0;

/**
 * Describes what holds for a client both in the line that every supported Node runs and in its
 * newest, installed as `…-newest`. Where Node is too old for that one, it is skipped.
 * @param packages what the client is made of
 * @param older what they export
 * @param tests are given those exports; the newest too with the types of the older line
 */
export async function describeLines<Client extends object>(
  packages: string[],
  older: Client,
  tests: (client: Client) => void,
): Promise<void> {
  describe(packages.join(' and '), () => tests(older));

  const names = packages.map((name) => `${name}-newest`);
  const title = names.join(' and ');
  if (isNewEnough) {
    const newest = (await load(names)) as Client;
    describe(title, () => tests(newest));
  } else {
    const why = `needs Node ${NEEDED}, this is ${process.versions.node}`;
    describe.skip(`${title} (${why})`, () => tests(older));
  }
}

async function load(names: string[]): Promise<object> {
  const client = {};
  // One by one: Jest can't link two at once where they share a package.
  for (const name of names) Object.assign(client, await import(name));
  return client;
}
