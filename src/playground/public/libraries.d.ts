declare module '@highlightjs/cdn-assets/es/core.min.js' {
  /** What of highlight.js the page uses. */
  const highlighter: {
    getLanguage(name: string): object | undefined;
    registerLanguage(name: string, grammar: unknown): void;
    highlight(
      code: string,
      options: { language: string; ignoreIllegals: boolean },
    ): { value: string };
  };
  export default highlighter;
}
