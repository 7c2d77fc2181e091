/** How the upstream goes wrong; for the soak. */
export const FAULTS = ['refuse', 'limit', 'reset', 'truncate', 'malformed', 'silent'] as const;
export type Fault = (typeof FAULTS)[number];

/** What one stream is to be. It travels as the user's message, through every gateway alike. */
export interface Scenario {
  /** The stream's number, the same for client and upstream. */
  stream: number;
  tokens: number;
  /** Time between two tokens, in milliseconds; 0 is as fast as they are taken. */
  paceMs: number;
  /** Further characters a token. */
  pad?: number;
  /** Whether it rests after its first token, until the upstream's `goOn`. */
  rests?: boolean;
  /** Whether it stays open after its last token. */
  hold?: boolean;
  fault?: Fault;
}

/** What a token reads: `@`, its number from 0 in six digits, `~`. No other `@` is ever sent. */
export const TOKEN_LENGTH = 8;

export function tokenText(index: number): string {
  return `@${String(index).padStart(TOKEN_LENGTH - 2, '0')}~`;
}

export function requestBody(scenario: Scenario): string {
  return JSON.stringify({
    model: 'bench',
    stream: true,
    messages: [{ role: 'user', content: JSON.stringify(scenario) }],
  });
}

export function scenarioOf(body: string): Scenario {
  const { messages } = JSON.parse(body) as { messages: { content: string }[] };
  return JSON.parse(messages.at(-1)!.content) as Scenario;
}
