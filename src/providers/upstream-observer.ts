/** Sees the HTTP requests that a generation takes. */
export interface UpstreamObserver {
  /** A request is about to be sent. */
  sending(method: string, url: URL): UpstreamCall;
}

/** Hears what becomes of one request upstream. */
export interface UpstreamCall {
  /** Say where the request stands in a trace. */
  readonly headers: Readonly<Record<string, string>>;
  answered(status: number): void;
  /** Nobody wants the answer any more: the connection is told to close. */
  dropped(): void;
  /**
   * The exchange is over and the connection closed, or free for the next one.
   * @param error why it failed, in a word
   */
  closed(error?: string): void;
}
