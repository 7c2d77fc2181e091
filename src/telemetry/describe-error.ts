/** Causes of causes that are told. */
const MAX_CAUSES = 5;

export interface ErrorDescription {
  type: string;
  message?: string;
  code?: string;
  stack?: string;
  cause?: ErrorDescription;
}

/**
 * What a log may know of an error: not its further properties, which can be a request's headers, and
 * not the message of a SyntaxError, with which `JSON.parse` quotes what it read.
 */
export function describeError(error: Error, causes = MAX_CAUSES): ErrorDescription {
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  const quotes = error instanceof SyntaxError;
  return {
    type: name,
    ...(!quotes && { message }),
    ...(typeof code === 'string' && { code }),
    stack: quotes ? stack?.replace(message, '') : stack,
    ...(cause instanceof Error && causes > 0 && { cause: describeError(cause, causes - 1) }),
  };
}
