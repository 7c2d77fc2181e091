declare module 'parse-prometheus-text-format' {
  interface Family {
    name: string;
    help: string;
    type: string;
    metrics: { value?: string; labels?: Record<string, string> }[];
  }
  /** @throws when a line is not in Prometheus' text format */
  export default function parse(text: string): Family[];
}
