const OPTION_NAMES = ['tokens', 'ms', 'wait', 'after', 'bytes', 'times', 'retryafter'] as const;

type OptionName = (typeof OPTION_NAMES)[number];

export type Options = Partial<Record<OptionName, number>>;

export interface ModelName {
  scenario: string;
  options: Options;
}

/**
 * Reads `<scenario>{_<option>-<integer>}`, e.g. `text_tokens-50_ms-5`: only characters that an
 * Azure deployment name may have, so that one name works for all protocols.
 *
 * An unknown option makes the whole name unknown: a misspelt one must not pass as the default.
 */
export function parseModelName(model: string): ModelName | undefined {
  const [scenario = '', ...rest] = model.split('_');
  const options: Options = {};
  for (const part of rest) {
    const [, name, value] = /^([a-z]+)-(\d+)$/.exec(part) ?? [];
    if (!isOptionName(name)) return undefined;
    options[name] = Number(value);
  }
  return { scenario, options };
}

function isOptionName(name: string | undefined): name is OptionName {
  return OPTION_NAMES.some((known) => known === name);
}
