import type { ChildProcess } from 'node:child_process';

/** What a child process does when its parent asks. */
export type Handlers = Record<string, (argument: never) => unknown>;

type Result<F> = F extends (argument: never) => infer R ? Awaited<R> : never;

interface Call {
  id: number;
  method: string;
  argument: never;
}

interface Reply {
  id: number;
  result?: unknown;
  failure?: string;
}

/** Answers the parent's calls, over the channel that `fork` opens, and ends with the parent. */
export function serve(handlers: Handlers) {
  process.on('message', (message: Call) => {
    const { id, method, argument } = message;
    Promise.resolve()
      .then(() => handlers[method]!(argument))
      .then(
        (result) => process.send?.({ id, result } satisfies Reply),
        (error: unknown) => process.send?.({ id, failure: String(error) } satisfies Reply),
      );
  });
  process.on('disconnect', () => process.exit());
}

/** The parent's side of {@link serve}. */
export class Remote<H extends Handlers> {
  private nextId = 1;
  private readonly waiting = new Map<
    number,
    { resolve: (result: never) => void; reject: (error: Error) => void }
  >();

  constructor(readonly child: ChildProcess) {
    child.on('message', (reply: Reply) => {
      const caller = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (reply.failure === undefined) caller?.resolve(reply.result as never);
      else caller?.reject(new Error(reply.failure));
    });
    child.on('exit', (code, signal) => {
      for (const { reject } of this.waiting.values()) {
        reject(new Error(`a process of the bench ended early: ${code ?? signal}`));
      }
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  call<M extends keyof H & string>(
    method: M,
    ...[argument]: Parameters<H[M]>
  ): Promise<Result<H[M]>> {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, method, argument });
    });
  }
}
