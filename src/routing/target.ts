import type { ChatProvider } from '../providers/chat-provider.js';

/** One provider and one of its models. */
export class Target {
  constructor(
    readonly provider: ChatProvider,
    readonly model: string,
  ) {}

  /** `<provider>/<model>`, a name that leads to this target again. */
  get name(): string {
    return `${this.provider.name}/${this.model}`;
  }
}
