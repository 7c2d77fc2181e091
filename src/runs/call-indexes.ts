import type { ChatCompletionChunk } from 'openai/resources/chat/completions';

type Piece = ChatCompletionChunk.Choice.Delta.ToolCall;

interface Call {
  index: number;
  id?: string;
  type?: string;
  /** Its name so far. */
  name: string;
  /** Its arguments so far. */
  json: string;
}

/**
 * Gives each tool call of an answer an index of its own: some services, such as Gemini's, have
 * several under one, told apart by their ids alone. And has a call's id, type and name once: some
 * repeat them with every piece, and clients join what they get.
 */
export class CallIndexes {
  /** The last call under each index of the service's. */
  private readonly calls = new Map<number, Call>();
  private readonly taken = new Set<number>();
  private next = 0;

  /** @returns the same pieces where nothing in them must change */
  renumber(pieces: Piece[]): Piece[] {
    const renumbered = pieces.map((piece) => this.add(piece));
    return renumbered.every((piece, at) => piece === pieces[at]) ? pieces : renumbered;
  }

  private add(piece: Piece): Piece {
    let call = this.calls.get(piece.index);
    if (!call || isAnother(piece, call)) {
      call = { index: this.free(piece.index), name: '', json: '' };
      this.calls.set(piece.index, call);
    }
    const news = newsOf(piece, call);
    call.id ||= news.id;
    call.type ||= news.type;
    call.name += news.function?.name ?? '';
    call.json += news.function?.arguments ?? '';
    return call.index === news.index ? news : { ...news, index: call.index };
  }

  private free(wanted: number): number {
    const index = this.taken.has(wanted) ? this.next : wanted;
    this.taken.add(index);
    this.next = Math.max(this.next, index + 1);
    return index;
  }
}

/** A piece without what it repeats of its call. A name that is another is the next piece of it. */
function newsOf(piece: Piece, call: Call): Piece {
  const { id, type, function: called } = piece;
  const repeatsName = called?.name && called.name === call.name;
  if (!(id && call.id) && !(type && call.type) && !repeatsName) return piece;
  return {
    ...piece,
    id: call.id ? undefined : id,
    type: call.type ? undefined : type,
    function: repeatsName ? { ...called, name: undefined } : called,
  };
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
