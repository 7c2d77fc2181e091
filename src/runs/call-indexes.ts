import type { ChatCompletionChunk } from 'openai/resources/chat/completions';

type Piece = ChatCompletionChunk.Choice.Delta.ToolCall;

interface Call {
  index: number;
  id?: string;
  /** Its arguments so far. */
  json: string;
}

/**
 * Gives each tool call of an answer an index of its own: some services, such as Gemini's, have
 * several under one, told apart by their ids alone.
 */
export class CallIndexes {
  /** The last call under each index of the service's. */
  private readonly calls = new Map<number, Call>();
  private readonly taken = new Set<number>();
  private next = 0;

  /** @returns the same pieces where their indexes may stay */
  renumber(pieces: Piece[]): Piece[] {
    const renumbered = pieces.map((piece) => this.add(piece));
    return renumbered.every((piece, at) => piece === pieces[at]) ? pieces : renumbered;
  }

  private add(piece: Piece): Piece {
    let call = this.calls.get(piece.index);
    if (!call || isAnother(piece, call)) {
      call = { index: this.free(piece.index), json: '' };
      this.calls.set(piece.index, call);
    }
    call.id ||= piece.id;
    call.json += piece.function?.arguments ?? '';
    return call.index === piece.index ? piece : { ...piece, index: call.index };
  }

  private free(wanted: number): number {
    const index = this.taken.has(wanted) ? this.next : wanted;
    this.taken.add(index);
    this.next = Math.max(this.next, index + 1);
    return index;
  }
}

/** Not by its id alone: some servers give every piece of one call an id of its own. */
function isAnother({ id, function: called }: Piece, { id: before, json }: Call): boolean {
  return Boolean(id && before && id !== before && called?.name) && isWhole(json);
}

/** Whether arguments are all there. Looks at their end first: it is asked for pieces of what may be long. */
export function isWhole(json: string): boolean {
  if (!json.trimEnd().endsWith('}')) return false;
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}
