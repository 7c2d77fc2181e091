import type { Settings } from '../settings.js';
import type { Flaw } from './flaw.js';
import type { AliasSettings } from './models.schema.js';

/** The alias that a name means, and what its `*` stands for. */
export interface AliasMatch<A extends { name: string } = AliasSettings> {
  alias: A;
  matched: string;
}

/** An alias of this very name goes first, then patterns, those with more text before the `*` first. */
export function findAlias<A extends { name: string }>(
  aliases: readonly A[],
  name: string,
): AliasMatch<A> | undefined {
  const exact = aliases.find((alias) => alias.name === name);
  if (exact) return { alias: exact, matched: '' };
  let found: (AliasMatch<A> & { prefix: string }) | undefined;
  for (const alias of aliases) {
    const [prefix, suffix] = alias.name.split('*') as [string, string?];
    const matches =
      suffix !== undefined &&
      name.length >= prefix.length + suffix.length &&
      name.startsWith(prefix) &&
      name.endsWith(suffix);
    if (!matches || (found && found.prefix.length >= prefix.length)) continue;
    found = { alias, prefix, matched: name.slice(prefix.length, name.length - suffix.length) };
  }
  return found;
}

/** A model's name at its slash: the provider's name, and the model's unless it is the default. */
export function splitName(name: string): [provider: string, model?: string] {
  const slash = name.indexOf('/');
  return slash === -1 ? [name] : [name.slice(0, slash), name.slice(slash + 1)];
}

/** What is wrong with the aliases' targets. */
export function flawsOfTargets({ aliases, providers }: Settings): Flaw[] {
  const names = providers.map(({ name }) => name);
  return aliases.flatMap(({ name, targets }) =>
    targets.flatMap((target, index) => {
      const path = ['models', name, 'targets', index];
      if (!names.includes(splitName(target)[0])) {
        const message = `expected <provider>/<model>; the providers are ${names.join(', ')}`;
        return [{ path, message }];
      }
      if (target.includes('*') && !name.includes('*')) {
        return [{ path, message: "expected no *: there is none in the alias's name" }];
      }
      return [];
    }),
  );
}
