import type { Caller } from './caller.js';

/** Whether somebody may ask for a model: by the name that is asked for, whatever it leads to. */
export function mayAsk({ models }: Pick<Caller, 'models'>, model: string): boolean {
  return models === undefined || models.some((pattern) => matches(pattern, model));
}

/** `*` stands for any text. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let from = first.length;
  for (const part of rest) {
    const at = name.indexOf(part, from);
    if (at === -1) return false;
    from = at + part.length;
  }
  return from <= name.length - last.length;
}
