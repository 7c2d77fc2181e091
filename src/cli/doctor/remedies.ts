import type { FindingId } from './finding.js';

export interface Remedy {
  /** Lines for nginx's `location`, or its `server`. */
  nginx?: string;
  /** Where to look in what else may stand between. */
  elsewhere: Readonly<Record<string, string>>;
}

const UNBUFFERED: Remedy = {
  nginx: 'proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";',
  elsewhere: {
    HAProxy: 'option http-no-delay',
    'Envoy, Istio': 'streams by itself; look for an ext_proc or Lua filter that reads whole bodies',
    AWS: 'an ALB streams; API Gateway and Lambda only with response streaming',
    Cloudflare: 'Response Buffering off (Enterprise); no Worker that reads the whole body',
    'Azure Application Gateway': 'globalConfiguration.enableResponseBuffering = false',
    'Azure API Management': 'forward-request with buffer-response="false"',
    Traefik: 'no buffering middleware on the route',
    Apache: 'mod_proxy_http streams by itself; look for output filters such as mod_deflate',
    Caddy: 'reverse_proxy { flush_interval -1 }; look for encode too',
  },
};

/** What mends what was found, by what stands between. */
export const REMEDIES: Readonly<Record<FindingId, Remedy>> = {
  http: {
    nginx: 'proxy_http_version 1.1; proxy_set_header Connection "";  # http2 on; for browsers',
    elsewhere: {},
  },
  'keep-alive': { nginx: 'keepalive_timeout 75s;', elsewhere: { HAProxy: 'no option httpclose' } },
  ttft: UNBUFFERED,
  gaps: { elsewhere: {} },
  buffering: UNBUFFERED,
  heartbeats: UNBUFFERED,
  compression: {
    nginx: 'gzip off;',
    elsewhere: {
      HAProxy: 'no text/event-stream in compression type',
      'Envoy, Istio': "no text/event-stream in the compressor's content_type",
      Cloudflare: 'a Compression Rule that leaves text/event-stream alone',
      Traefik: 'compress.excludedContentTypes = text/event-stream',
      Apache: 'SetEnv no-gzip 1',
      Caddy: 'no text/event-stream in what encode matches',
    },
  },
  silence: {
    nginx: 'proxy_read_timeout 1h;',
    elsewhere: {
      HAProxy: 'timeout server and timeout client 1h',
      'Envoy, Istio': "stream_idle_timeout, and the route's idle_timeout",
      AWS: "the ALB's idle_timeout.timeout_seconds (60 by default)",
      Cloudflare: 'Proxy Read Timeout, for Enterprise plans only',
      'Azure Application Gateway': 'the request timeout of the backend settings',
      Traefik: 'forwardingTimeouts.responseHeaderTimeout, before the first byte',
      Apache: 'ProxyTimeout 3600',
      Caddy: 'reverse_proxy { transport http { read_timeout } }',
    },
  },
  duration: {
    nginx: '# has no such limit; after a reload there is worker_shutdown_timeout',
    elsewhere: {
      HAProxy: 'has no such limit; after a reload there is hard-stop-after',
      'Envoy, Istio': "timeout: 0s on the route (Envoy's default is 15s), max_stream_duration",
      AWS: "API Gateway's integration timeout; an ALB has no such limit",
      Traefik: "the entry point's respondingTimeouts.writeTimeout = 0",
      Caddy: 'servers { timeouts { write 0 } }',
    },
  },
  disconnect: {
    nginx: 'proxy_ignore_client_abort off;',
    elsewhere: {
      HAProxy: 'option abortonclose',
      Apache: 'notices only when it writes: keep HEARTBEAT_MS short',
      'your own': 'end the request to Sluice when its response closes before the end',
    },
  },
};
