import type { Flaw } from './flaw.js';

/** `${NAME}`, and `$${…}` for a text that shall have a `${…}` in it. */
const REFERENCE = /(\$?)\$\{([^}]*)\}/g;
const NAME = /^[A-Za-z_]\w*$/;

/** Fills `${NAME}` in every string of a document; a variable without a value is not set. */
export function fillVariables(document: unknown, environment: NodeJS.ProcessEnv) {
  const flaws: Flaw[] = [];

  const fill = (value: unknown, path: readonly PropertyKey[]): unknown => {
    if (typeof value === 'string') return fillText(value, path);
    if (Array.isArray(value)) return value.map((item, index) => fill(item, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, fill(item, [...path, key])]),
    );
  };
  const fillText = (text: string, path: readonly PropertyKey[]) =>
    text.replaceAll(REFERENCE, (reference: string, escape: string, name: string) => {
      if (escape) return reference.slice(1);
      const value = NAME.test(name) ? environment[name] : undefined;
      if (value) return value;
      const message = NAME.test(name)
        ? `expected the environment to have ${name}, which is not set`
        : 'expected ${NAME} of an environment variable, or $${ for a plain ${';
      flaws.push({ path, message });
      return '';
    });

  return { value: fill(document, []), flaws };
}
