import { z } from 'zod';

/** What is wrong at a place in the file. The message never has the value: it may be a secret. */
export interface Flaw {
  path: readonly PropertyKey[];
  message: string;
}

/** What zod calls things, for who writes YAML. */
const NAMES: Record<string, string> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  string: 'text',
};

/** Says what was expected where a schema has no words of its own for it. */
export const describe: z.core.$ZodErrorMap = (issue) => {
  const { inst } = issue;
  switch (issue.code) {
    case 'unrecognized_keys':
      return `is unknown here; expected one of ${keysOf(inst as z.ZodObject)}`;
    case 'invalid_type': {
      const expected = NAMES[issue.expected] ?? issue.expected;
      return inst instanceof z.ZodObject
        ? `expected ${expected} with ${keysOf(inst)}`
        : `expected ${expected}`;
    }
    case 'invalid_union': {
      const { options } = issue as { options?: string[] };
      return options && `expected one of ${options.join(', ')}`;
    }
    default:
      return undefined;
  }
};

function keysOf({ shape }: z.ZodObject): string {
  return Object.keys(shape).join(', ');
}

/** An issue as zod tells it, at the place where its cause stands. */
export function flawsOf(issue: z.core.$ZodIssue): Flaw[] {
  const { path, message } = issue;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message }));
  }
  if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]!.message }];
  return [{ path, message }];
}
