import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Node } from 'yaml';
import { z } from 'zod';
import { ConfigError } from '../config.js';
import { describe, flawsOf, type Flaw } from './flaw.js';
import { fillVariables } from './variables.js';

/** A YAML file that knows on which line it has what. */
export class ConfigDocument {
  private readonly lines = new LineCounter();
  private readonly document;
  private readonly content: unknown;

  /**
   * @param name what errors call the file
   * @throws {ConfigError} when it is no YAML
   */
  constructor(
    private readonly name: string,
    text: string,
  ) {
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false });
    const [error] = [...this.document.errors, ...this.document.warnings];
    // What follows a colon may be quoted from the file.
    if (error) throw this.errorAt(error.pos[0], error.message.split(':')[0]!);
    visit(this.document, {
      Alias: (_, alias, path) => {
        const named = alias.resolve(this.document);
        if (!named) throw this.errorAt(alias.range![0], 'There is no such anchor before this line');
        if (path.includes(named)) throw this.errorAt(alias.range![0], 'An anchor has itself in it');
      },
    });
    try {
      this.content = this.document.toJS();
    } catch (error) {
      // Such as what becomes too large by its aliases.
      throw this.errorAt(0, (error as Error).message.split(':')[0]!);
    }
  }

  /** Whether there is nothing in it; `{}` is something. */
  get isEmpty(): boolean {
    return this.content == null;
  }

  /**
   * What the file says, with `${NAME}` filled from the environment.
   * @throws {ConfigError} when a name is not set, or the schema does not match
   */
  parse<T extends z.ZodType>(schema: T, environment: NodeJS.ProcessEnv): z.output<T> {
    // A clone, as parts of a text keep all of it in memory, and here that can have keys in it.
    const content: unknown = structuredClone(this.content);
    const { value, flaws } = fillVariables(content ?? {}, environment);
    this.expectNone(flaws);
    const result = schema.safeParse(value, { error: describe });
    if (result.success) return result.data;
    throw this.errorOf(result.error.issues.flatMap(flawsOf));
  }

  /** @throws {ConfigError} that tells the flaws in the order of their lines, if there are any */
  expectNone(flaws: readonly Flaw[]) {
    if (flaws.length > 0) throw this.errorOf(flaws);
  }

  private errorOf(flaws: readonly Flaw[]): ConfigError {
    const places = flaws.map(({ path, message }) => {
      const said = path.length > 0 ? `${z.core.toDotPath(path)}: ${message}` : message;
      return { offset: this.offsetOf(path), said };
    });
    places.sort((a, b) => a.offset - b.offset);
    return new ConfigError(places.map(({ offset, said }) => this.at(offset, said)).join('\n'));
  }

  private errorAt(offset: number, message: string): ConfigError {
    return new ConfigError(this.at(offset, message));
  }

  private at(offset: number, message: string): string {
    return `${this.name}:${this.lines.linePos(offset).line} ${message}`;
  }

  /** Where the path's end stands, or as much of the path as there is. */
  private offsetOf(path: readonly PropertyKey[]): number {
    let offset = 0;
    let node: unknown = this.document.contents;
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.document);
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
        if (!pair) break;
        offset = startOf(pair.key);
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[step as number];
        if (node === undefined) break;
        offset = startOf(node);
      }
    }
    return offset;
  }
}

/** Every node that was parsed has a range. */
function startOf(node: unknown): number {
  return (node as Node).range![0];
}
